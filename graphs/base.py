"""What every static graph shares: it notes how long its compilation took."""

from __future__ import annotations

import time
import warnings
import weakref
from typing import ClassVar

import oneflow as flow
from oneflow.framework.graph_build_util import lazy_mode


class StaticGraph(flow.nn.Graph):
    """A graph with fixed input shapes, compiled at its first call.

    ``compile_seconds`` is None before that call and what tracing and planning took after it.
    """

    # OneFlow has one session a process; whoever resets it must know of every graph that still uses it.
    _alive: ClassVar[weakref.WeakValueDictionary[int, StaticGraph]] = weakref.WeakValueDictionary()

    def __init__(self) -> None:
        super().__init__()
        self._alive[id(self)] = self
        self.compile_seconds: float | None = None
        self._operator = None

    def __call__(self, *inputs):
        if self.compile_seconds is None:
            begin = time.perf_counter()
            with warnings.catch_warnings():
                # Constants made while tracing are constants of the graph, which is what is meant.
                warnings.filterwarnings("ignore", message=".* is called in a nn.Graph, but not registered")
                self._compile(*inputs)
            self.compile_seconds = time.perf_counter() - begin
        return super().__call__(*inputs)

    @property
    def computed(self) -> float:
        """Seconds that its compiled training operator took in the last run; 0 where it has none."""
        return 0.0 if self._operator is None else self._operator.seconds

    @classmethod
    def alive(cls) -> set[int]:
        """The ids of all graphs of this process that were not deleted."""
        return set(cls._alive)


def called(module: flow.nn.Module) -> flow.nn.Module:
    """A graph's module as its ``build`` calls it: the graph's own while that is traced, else the module itself."""
    return module if lazy_mode.is_enabled() else module.to(flow.nn.Module)


def to_unit_range(images: flow.Tensor) -> flow.Tensor:
    """uint8 [B, 3, H, W] pictures as float32 in 0..1."""
    return images.to(flow.float32) / 255.0


def synchronise() -> None:
    """Wait until every graph and operator that was started has finished; before that, tensors may be half written."""
    flow._oneflow_internal.eager.Sync()
