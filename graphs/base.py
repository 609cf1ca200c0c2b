"""What every static graph shares: threads take turns with it, and it notes how long its compilation took."""

from __future__ import annotations

import ctypes
import functools
import gc
import time
import warnings
from typing import ClassVar

import oneflow as flow
from oneflow.framework.graph_build_util import lazy_mode
from oneflow.framework.session_context import GetDefaultSession

from graphs.turns import Turns
from yolo.runtime import in_own_process


class StaticGraph(flow.nn.Graph):
    """A graph with fixed input shapes, compiled at its first call. Threads may make, call and drop graphs.

    ``compile_seconds`` is None before that call and what tracing and planning took after it.
    """

    turns: ClassVar[Turns] = Turns()
    """The whole process's: whoever uses OneFlow where there may be other threads takes a turn."""
    _some_ended: ClassVar[bool] = False
    """Whether OneFlow still holds memory of graphs that have ended: it comes back when no graph is left."""

    def __init__(self) -> None:
        with self.turns.turn():
            super().__init__()
        self.compile_seconds: float | None = None
        self._operator = None

    def __call__(self, *inputs):
        with self.turns.turn():
            if self.compile_seconds is None:
                self._give_memory_back()
                begin = time.perf_counter()
                with warnings.catch_warnings():
                    # Constants made while tracing are constants of the graph, which is what is meant.
                    warnings.filterwarnings("ignore", message=".* is called in a nn.Graph, but not registered")
                    self._compile(*inputs)
                self.compile_seconds = time.perf_counter() - begin
            return super().__call__(*inputs)

    def __del__(self) -> None:
        if in_own_process():
            self.turns.when_free(functools.partial(_end, self))  # which keeps it alive until then
        else:  # a fork's child waits for ever where OneFlow's object ends: it keeps what it inherited
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))

    @staticmethod
    def _give_memory_back() -> None:
        """Reset OneFlow's session where graphs have ended and none is left, somebody else's neither."""
        if StaticGraph._some_ended and not any(map(_is_compiled_graph, gc.get_objects())):
            synchronise()
            GetDefaultSession().Reset()
            StaticGraph._some_ended = False

    @property
    def computed(self) -> float:
        """Seconds that its compiled training operator took in the last run; 0 where it has none."""
        return 0.0 if self._operator is None else self._operator.seconds


def _end(graph: StaticGraph) -> None:
    """What OneFlow does where a graph ends, and then the end of all that it holds."""
    flow.nn.Graph.__del__(graph)
    StaticGraph._some_ended |= _is_compiled_graph(graph)
    graph.__dict__.clear()


def _is_compiled_graph(it: object) -> bool:
    return issubclass(type(it), flow.nn.Graph) and getattr(it, "is_compiled", False)


def called(module: flow.nn.Module) -> flow.nn.Module:
    """A graph's module as its ``build`` calls it: the graph's own while that is traced, else the module itself."""
    return module if lazy_mode.is_enabled() else module.to(flow.nn.Module)


def to_unit_range(images: flow.Tensor) -> flow.Tensor:
    """uint8 [B, 3, H, W] images as float32 in 0..1."""
    return images.to(flow.float32) / 255.0


def synchronise() -> None:
    """Wait until every graph and operator that was started has finished; before that, tensors may be half written."""
    flow._oneflow_internal.eager.Sync()
