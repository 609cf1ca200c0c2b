"""Graphs by input shape, compiled when first needed, and never more of them than were allowed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

import oneflow as flow

from graphs.base import StaticGraph

Graph = TypeVar("Graph", bound=StaticGraph)

logger = logging.getLogger("yolo")


class GraphPool(Generic[Graph]):
    """Call it like a graph, with inputs of any shape: each shape is compiled once and kept.

    OneFlow never gives back all that a graph took, so there are at most ``limit`` of them: the operators of further
    shapes run one by one, which is said once.
    """

    def __init__(self, make: Callable[[], Graph], limit: int = 8) -> None:
        self._make, self._limit = make, limit
        self._graphs: dict[tuple, Graph] = {}
        self._others: EagerRuns[Graph] | None = None
        self._last: StaticGraph | EagerRuns | None = None
        self.compile_seconds = 0.0

    def __call__(self, *inputs: flow.Tensor):
        key = tuple((tuple(tensor.shape), str(tensor.dtype)) for tensor in inputs)
        self._last = graph = self._graphs.get(key)
        if graph is not None:
            return graph(*inputs)
        if len(self._graphs) >= self._limit:
            return self._without_graph(*inputs)
        self._last = graph = self._make()
        outputs = graph(*inputs)
        self._graphs[key] = graph  # only now: a graph whose tracing failed cannot be used again
        self.compile_seconds += graph.compile_seconds
        return outputs

    def __len__(self) -> int:
        return len(self._graphs)

    def _without_graph(self, *inputs: flow.Tensor):
        if self._others is None:
            logger.info("more than %d shapes of batches: the others run without a graph", self._limit)
            self._others = EagerRuns(self._make)
        self._last = self._others
        return self._others(*inputs)

    @property
    def computed(self) -> float:
        """What the graph of the last call says."""
        return self._last.computed


class EagerRuns(Generic[Graph]):
    """What ``GraphPool`` does, without graphs: the operators run one by one as they are called.

    For a process that is one of several ranks and does something of its own: to OneFlow a graph belongs to all ranks.
    ``make`` gives a graph that only calls operators, and modules through ``graphs.base.called``.
    """

    compile_seconds = 0.0

    def __init__(self, make: Callable[[], Graph]) -> None:
        self._graph = make()

    def __call__(self, *inputs: flow.Tensor):
        with flow.no_grad():
            return self._graph.build(*inputs)

    @property
    def computed(self) -> float:
        """What the graph says."""
        return self._graph.computed
