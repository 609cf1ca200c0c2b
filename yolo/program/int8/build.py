"""Post-training quantisation: an fp32 graph and images in, the graph with int8 regions and what it costs out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from yolo.program.int8.observe import observe, with_means
from yolo.program.int8.place import with_int8
from yolo.program.int8.search import choose, heads_of, movement
from yolo.program.ir import Graph

SEARCH_IMAGES = 4
"""Images on which convolutions are tried; the same tell what the whole costs."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """What int8 changes.

    movement: norm of the heads' difference to fp32 divided by their norm, on images that chose no range where there
    are enough; kept: places of the convolutions that stay in float for accuracy; int8, convolutions: how many compute
    in int8, of how many; images: how many were looked at.
    """

    movement: float
    kept: tuple[str, ...]
    int8: int
    convolutions: int
    images: int

    def __str__(self) -> str:
        kept = f"; for accuracy these stay in float: {', '.join(self.kept)}" if self.kept else ""
        return (
            f"int8 ({self.images} calibration images): {self.int8} of {self.convolutions} convolutions{kept}; "
            f"the outputs change by {100 * self.movement:.1f} % of their norm"
        )


def quantise(graph: Graph, images: Sequence[np.ndarray], *, threads: int = 0) -> tuple[Graph, Cost]:
    """``graph`` (``optimise(…, "int8")``) with its convolutions in int8 where that costs little.

    images: uint8 ``[C, H, W]``, what the network is meant for. Every so many of them are held out from choosing
    ranges and measure the errors. The same images give the same graph. Raises ValueError without an image, for a
    network without a convolution that int8 kernels compute, and for one whose values are no numbers.
    """
    if not images:
        raise ValueError("int8 needs calibration images")
    distance = max(1, len(images) // SEARCH_IMAGES)
    held = list(images[distance // 2 :: distance])[:SEARCH_IMAGES]
    rest = [image for image in images if not any(image is one for one in held)] or held
    seen = observe(graph, rest, threads=threads)
    graph = with_means(graph, seen)
    choice = choose(graph, seen.scale, held, threads=threads)
    found = with_int8(graph, choice.chosen, seen.scale)
    if not found.scales:
        raise ValueError("no convolution of this network can be computed in int8")
    moved = movement(heads_of(found, held, threads=threads), heads_of(graph, held, threads=threads))
    convolutions = sum(node.kind == "conv" for node in graph.nodes)
    kept = tuple(node.where for node in choice.kept)
    return found, Cost(moved, kept, len(choice.chosen), convolutions, len(images))
