"""Passes over the intermediate representation: each takes a graph and gives an equal, cheaper one."""

from __future__ import annotations

from collections.abc import Callable

from yolo.program.ir import Graph
from yolo.program.passes.fold import fold_batch_norm
from yolo.program.passes.fuse import fuse_activations, fuse_residuals
from yolo.program.passes.merge import merge_siblings

Pass = Callable[[Graph], Graph]

INFERENCE: tuple[Pass, ...] = (fold_batch_norm, fuse_activations, fuse_residuals, merge_siblings)
"""In this order: folding lets activations meet their convolutions, and only finished convolutions are merged."""


def optimise(graph: Graph, watch: Callable[[str, Graph], None] | None = None) -> Graph:
    """The graph for inference; ``watch`` sees the name of each pass and the graph after it."""
    if watch is not None:
        watch("lowered", graph)
    for apply in INFERENCE:
        graph = apply(graph)
        if watch is not None:
            watch(apply.__name__, graph)
    return graph
