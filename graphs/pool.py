"""Graphs by input shape, compiled when first needed, with memory kept within bounds."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import oneflow as flow
from oneflow.framework.session_context import GetDefaultSession

from graphs.base import StaticGraph, synchronise

Graph = TypeVar("Graph", bound=StaticGraph)


class GraphPool(Generic[Graph]):
    """Call it like a graph, with inputs of any shape: each shape is compiled once and kept.

    OneFlow gives a graph's memory back only when no graph is left and its session is reset. So when more than
    ``limit`` shapes were met and no other graph of the process is alive, all are dropped and the memory returned;
    while another graph lives (a training run), the pool grows with the number of shapes.
    """

    def __init__(self, make: Callable[[], Graph], limit: int = 8) -> None:
        self._make, self._limit = make, limit
        self._graphs: dict[tuple, Graph] = {}
        self.compile_seconds = 0.0

    def __call__(self, *inputs: flow.Tensor):
        key = tuple((tuple(tensor.shape), str(tensor.dtype)) for tensor in inputs)
        graph = self._graphs.get(key)
        if graph is not None:
            return graph(*inputs)
        begin = time.perf_counter()
        if len(self._graphs) >= self._limit:
            self._release()
        released = time.perf_counter() - begin
        graph = self._make()
        outputs = graph(*inputs)
        self._graphs[key] = graph  # only now: a graph whose tracing failed cannot be used again
        self.compile_seconds += released + graph.compile_seconds
        return outputs

    def __len__(self) -> int:
        return len(self._graphs)

    def _release(self) -> None:
        others = StaticGraph.alive() - set(map(id, self._graphs.values()))
        if others:
            return
        synchronise()
        self._graphs.clear()
        gc.collect()
        GetDefaultSession().Reset()


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
