"""Which convolutions stay in float: those whose staying brings the heads back most for what it costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from yolo.program.compiled import CompiledNetwork
from yolo.program.int8.place import candidates, with_int8
from yolo.program.ir import INPUT, Conv, Graph
from yolo.program.scales import Scale

FLOAT_SHARE: Final = 0.05
"""Of the products of all convolutions: what may stay in float."""

Heads = list[list[np.ndarray]]
ScaleOf = Callable[[frozenset[int]], Scale]


@dataclasses.dataclass(frozen=True)
class Choice:
    """The convolutions on bytes, by output; and those that stay in float for their error alone, worst first."""

    chosen: frozenset[int]
    kept: tuple[Conv, ...]


def choose(
    graph: Graph, scale_of: ScaleOf, images: Sequence[np.ndarray], *, share: float = FLOAT_SHARE, threads: int = 0
) -> Choice:
    """Leave each convolution out of int8 in turn and measure how far the heads then move on ``images``.

    (Each alone in int8 says less: what its input and output lose as bytes, its neighbours would make them lose
    anyway.) Those that bring back most of the squared error for each product stay in float, while their products are
    within ``share`` of all; none do where all of these together bring nothing back. Besides, where there are others,
    those that read the images stay in float: pixels are bytes as they are, so that their rounded weights are an error
    of their own: on COCO128 letterboxed to squares yolov5n loses 0.004 mAP50-95 and not 0.009, for 5 % of the time
    (with rectangles chance hides it).
    """
    able = candidates(graph)
    first = tuple(node for node in able if INPUT in node.inputs)
    able = [node for node in able if node not in first] or able
    first = tuple(node for node in first if node not in able)
    expected, everything = heads_of(graph, images, threads=threads), frozenset(node.output for node in able)

    def error(chosen: frozenset[int]) -> float:
        found = heads_of(with_int8(graph, chosen, scale_of), images, threads=threads)
        return movement(found, expected) ** 2

    sizes, whole = graph.sizes(*images[0].shape[1:]), error(everything)
    costs = {node.output: graph.products(node, sizes) for node in able}
    left, kept = share * sum(costs.values()), []
    tried = [node for node in able if costs[node.output] <= left]
    gains = {node.output: (whole - error(everything - {node.output})) / costs[node.output] for node in tried}
    for node in sorted(tried, key=lambda node: -gains[node.output]):
        if gains[node.output] > 0 and costs[node.output] <= left:
            left -= costs[node.output]
            kept.append(node)
    chosen = everything - {node.output for node in kept}
    better = kept and error(chosen) < whole
    return Choice(chosen, (*first, *kept)) if better else Choice(everything, first)


def heads_of(graph: Graph, images: Sequence[np.ndarray], *, threads: int = 0) -> Heads:
    """What comes out of the graph for each image, uint8 ``[C, H, W]``."""
    compiled = CompiledNetwork(graph, precision="int8" if graph.scales else "fp32", threads=threads)
    return [compiled.program((1, *image.shape))(image[None]) for image in images]


def movement(found: Heads, expected: Heads) -> float:
    """Norm of the heads' differences divided by their norm, over all images; the mean square over the levels."""
    levels = []
    for ours, theirs in zip(zip(*found), zip(*expected)):
        difference = sum(float(np.sum((a - b) ** 2, dtype=np.float64)) for a, b in zip(ours, theirs))
        levels.append(difference / max(sum(float(np.sum(b**2, dtype=np.float64)) for b in theirs), 1e-30))
    return float(np.sqrt(np.mean(levels)))
