"""What every static graph shares: threads take turns with it, and it notes how long its compilation took."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import ClassVar

import numpy as np
import oneflow as flow
from oneflow.framework.graph_build_util import lazy_mode
from oneflow.framework.session_context import GetDefaultSession
from oneflow.framework.tensor_tuple_util import convert_to_tensor_tuple

from yolo.runtime import in_own_process


class Turns:
    """Threads take turns in OneFlow, which is not made for several. In a turn a thread may take another.

    It traces one graph at a time, and a graph's end empties the process's list of variables, which tracing fills. And
    two threads that call the same operator for the first time wait for each other for ever: one has the operator's own
    lock and wants Python's, the other has Python's.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._waiting: deque[Callable[[], None]] = deque()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn; it ends with the block."""
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
        self._catch_up()

    def when_free(self, job: Callable[[], None]) -> None:
        """Do ``job`` now, or where a turn is going on, this thread's too, in whichever thread ends it.

        It never waits: garbage collection comes at any moment, also in the middle of a turn.
        """
        self._waiting.append(job)
        self._catch_up()

    def _catch_up(self) -> None:
        while self._waiting and self._lock.acquire(blocking=False):
            try:
                if self._depth:  # this thread's own turn: its end comes here again
                    return
                self._depth = 1
                try:
                    if self._waiting:
                        self._waiting.popleft()()
                finally:
                    self._depth = 0
            finally:
                self._lock.release()


class StaticGraph(flow.nn.Graph):
    """A graph with fixed input shapes, compiled at its first call. Threads may make, call and drop graphs.

    ``compile_seconds`` is None before that call and what tracing and planning took after it.
    """

    turns: ClassVar[Turns] = Turns()
    """The whole process's: whoever uses OneFlow where there may be other threads takes a turn."""
    _some_ended: ClassVar[bool] = False
    """Whether OneFlow still holds memory of graphs that have ended: it comes back when no graph is left."""
    _made: ClassVar[int] = 0
    _compiled_ones: ClassVar[int] = 0
    """Graphs that were compiled and have not ended. All of these change in a turn."""

    def __init__(self) -> None:
        with self.turns.turn():
            super().__init__()
            StaticGraph._made += 1
        self.compile_seconds: float | None = None
        self._operator = None
        self._arrays: dict[int, list[np.ndarray]] = {}

    def __call__(self, *inputs):
        with self.turns.turn():
            self._compile_once(inputs)
            return super().__call__(*inputs)

    def arrays(self, *inputs: flow.Tensor) -> list[np.ndarray]:
        """What a call gives, as arrays that hold until the call after the next one; returns when the graph has ended.

        ``nn.Graph`` copies its outputs by operators that it starts while the graph needs the cores; here the thread
        sleeps until they are there. A graph has two sets of outputs in turn, whose memory stays where it is: asking
        OneFlow for each of them anew takes as long as it took to start the graph.
        """
        graph = flow._oneflow_internal.nn.graph
        with self.turns.turn():
            self._compile_once(inputs)
            number = self._cur_index_of_ouputs_buffer
            outputs = self._outputs_tensor_tuple_buffer[number]
            self._cur_index_of_ouputs_buffer = (number + 1) % self._outputs_buffer_size
            graph.RunLazyNNGraph(convert_to_tensor_tuple(inputs), outputs, self._state_tensor_tuple, self._c_nn_graph)
            try:
                synchronise()
                if number not in self._arrays:
                    self._arrays[number] = [output.numpy() for output in outputs]
                return self._arrays[number]
            finally:  # they are the graph's again
                graph.SoftSyncNNGraphBuffers(outputs, self._c_nn_graph)

    def _compile_once(self, inputs: tuple[flow.Tensor, ...]) -> None:
        if self.compile_seconds is not None:
            return
        self._give_memory_back()
        begin = time.perf_counter()
        with warnings.catch_warnings():
            # Constants made while tracing are constants of the graph, which is what is meant.
            warnings.filterwarnings("ignore", message=".* is called in a nn.Graph, but not registered")
            self._compile(*inputs)
        StaticGraph._compiled_ones += 1
        self.compile_seconds = time.perf_counter() - begin

    def __del__(self) -> None:
        if in_own_process():
            self.turns.when_free(functools.partial(_end, self))  # which keeps it alive until then
        else:  # a fork's child waits for ever where OneFlow's object ends: it keeps what it inherited
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self))

    @staticmethod
    def _give_memory_back() -> None:
        """Reset OneFlow's session where graphs have ended and none is left; not where somebody else has made some.

        OneFlow counts all that were made, by class. The garbage collector knows those that are left, but asking it
        takes hold of tuples that other threads are building, which then end with a SystemError.
        """
        others = sum(flow.nn.Graph._child_init_cnt.values()) - StaticGraph._made
        if StaticGraph._some_ended and not StaticGraph._compiled_ones and not others:
            synchronise()
            GetDefaultSession().Reset()
            StaticGraph._some_ended = False

    @property
    def computed(self) -> float:
        """Seconds that its operator took in its last run: a training step, or the suppression; 0 where it has none."""
        return 0.0 if self._operator is None else self._operator.seconds


def _end(graph: StaticGraph) -> None:
    """What OneFlow does where a graph ends, and then the end of all that it holds."""
    flow.nn.Graph.__del__(graph)
    if graph.__dict__.get("compile_seconds") is not None:
        StaticGraph._compiled_ones -= 1
        StaticGraph._some_ended = True
    graph.__dict__.clear()


def called(module: flow.nn.Module) -> flow.nn.Module:
    """A graph's module as its ``build`` calls it: the graph's own while that is traced, else the module itself."""
    return module if lazy_mode.is_enabled() else module.to(flow.nn.Module)


def to_unit_range(images: flow.Tensor) -> flow.Tensor:
    """uint8 [B, 3, H, W] images as float32 in 0..1."""
    return images.to(flow.float32) / 255.0


def synchronise() -> None:
    """Wait until every graph and operator that was started has finished; before that, tensors may be half written."""
    flow._oneflow_internal.eager.Sync()
