"""Passes over the intermediate representation: each takes a graph and gives an equal, cheaper one."""

from __future__ import annotations

from collections.abc import Callable

from yolo.program.ir import Graph
from yolo.program.passes.fold import fold_batch_norm, fold_pixel_scale
from yolo.program.passes.fuse import fuse_activations, fuse_residuals
from yolo.program.passes.merge import merge_siblings

Pass = Callable[[Graph], Graph]

INFERENCE: tuple[Pass, ...] = (fold_batch_norm, fuse_activations, fuse_residuals, merge_siblings)
"""In this order: folding lets activations meet their convolutions, and only finished convolutions are merged."""


LOW_PRECISION: tuple[Pass, ...] = (*INFERENCE, fold_pixel_scale)


def optimise(graph: Graph, precision: str = "fp32", watch: Callable[[str, Graph], None] | None = None) -> Graph:
    """The graph for inference; ``watch`` sees the name of each pass and the graph after it."""
    if watch is not None:
        watch("lower", graph)
    for apply in INFERENCE if precision == "fp32" else LOW_PRECISION:
        graph = apply(graph)
        if watch is not None:
            watch(apply.__name__, graph)
    return graph
