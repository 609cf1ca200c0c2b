"""Passes over the intermediate representation: each takes a graph and gives an equal, cheaper one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from yolo.program.ir import Graph
from yolo.program.passes.fold import fold_batch_norm, fold_pixel_scale, fuse_activations, fuse_residuals
from yolo.program.passes.merge import merge_siblings

Pass = Callable[[Graph], Graph]

INFERENCE: tuple[Pass, ...] = (fold_batch_norm, fuse_activations, fuse_residuals, merge_siblings)
"""In this order: folding lets activations meet their convolutions, and only finished convolutions are merged."""


PASSES: Mapping[str, tuple[Pass, ...]] = {
    "fp32": INFERENCE,
    "bf16": (*INFERENCE, fold_pixel_scale),
    # The first weights divided by 255 would be below the smallest normal binary16.
    "fp16": INFERENCE,
    # Bytes have their channels together: the parts of a merged convolution would have to be copied out of it.
    "int8": INFERENCE[:-1],
}
"""By precision; int8 is what ``yolo.program.int8`` then begins with."""


def optimise(graph: Graph, precision: str = "fp32", watch: Callable[[str, Graph], None] | None = None) -> Graph:
    """The graph for inference; ``watch`` sees the name of each pass and the graph after it."""
    if watch is not None:
        watch("lower", graph)
    for apply in PASSES[precision]:
        graph = apply(graph)
        if watch is not None:
            watch(apply.__name__, graph)
    return graph
