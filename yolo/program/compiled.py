"""A network as compiled programs, one for each shape of input, made when first needed; weights can be replaced."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from yolo import native
from yolo.io.memory import free_memory
from yolo.models.spec import NetworkSpec
from yolo.program.inference.constants import pack_weights
from yolo.program.inference.planner import plan_inference
from yolo.program.ir import INPUT, Graph, Shape
from yolo.program.lower import lower
from yolo.program.passes import optimise
from yolo.program.plan import Plan
from yolo.program.target import Target

MOST_SHAPES = 16
"""Executors that are kept; they share the memory of the largest, and each takes 40 ms to build."""
MOST_WORK = 1e15
"""Operations an image: a thousand times those of YOLOv5x6 at 1280 pixels."""


class CompiledNetwork:
    """The executors of a network for inference. Threads may share it.

    ``program(shape)`` gives the one for images uint8 ``[B, C, H, W]``; its outputs are raw heads, float32
    ``[B, na * (5 + nc), h, w]`` a level. Least recently used ones are dropped when there are many; whoever holds one
    may go on using it.
    """

    def __init__(self, graph: Graph, *, precision: str = "fp32", threads: int = 0) -> None:
        """``graph``: optimised for this precision, and quantised for int8 (``int8.build``).

        Raises ValueError where it is not, or where the processor has no such instructions.
        """
        if (precision == "int8") != bool(graph.scales):
            raise ValueError(f"a graph {'with' if graph.scales else 'without'} int8 values does not run in {precision}")
        self.target = Target.of(precision=precision, threads=threads)
        self._weights, self._memory = pack_weights(graph, self.target.weight_limit), native.Memory()
        self.graph = dataclasses.replace(graph, tensors={})  # its executors have them
        self._programs: OrderedDict[Shape, native.Executor] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls, spec: NetworkSpec, state: Mapping[str, np.ndarray], *, precision: str = "fp32", threads: int = 0
    ) -> CompiledNetwork:
        """Compile the network of ``spec`` with the tensors of ``state``."""
        return cls(optimise(lower(spec, state), precision), precision=precision, threads=threads)

    @property
    def precision(self) -> str:
        return self.target.precision

    def update(self, spec: NetworkSpec, state: Mapping[str, np.ndarray]) -> None:
        """Replace the weights, in all executors that were made too; those of int8 stay, as their scales do."""
        if self.precision == "int8":
            raise ValueError("the weights of int8 programs are not replaced: quantise the new ones")
        pack_weights(optimise(lower(spec, state), self.precision), self.target.weight_limit, self._weights)

    def plan(self, shape: Shape) -> Plan:
        """What runs for images of this shape.

        Raises ValueError for images of other channels than the network's and for a size at which nothing is left.
        """
        if shape[1] != self.graph.channels[INPUT]:
            raise ValueError(f"it takes images of {self.graph.channels[INPUT]} channels, not of {shape[1]}")
        return plan_inference(self.graph, shape, self.target)

    def program(self, shape: Shape) -> native.Executor:
        """The executor for this shape.

        Raises as ``plan`` does, MemoryError where the machine has not as much free, and RuntimeError where oneDNN has
        only a reference kernel.
        """
        with self._lock:
            if shape in self._programs:
                self._programs.move_to_end(shape)
                return self._programs[shape]
            self._programs[shape] = self._built(self.plan(shape))
            while len(self._programs) > MOST_SHAPES:
                self._programs.popitem(last=False)
            return self._programs[shape]

    def _built(self, plan: Plan) -> native.Executor:
        limits = native.Limits(free_memory(), MOST_WORK)
        if plan.arena > limits.memory:
            needed, free = (round(number / 1e9, 1) for number in (plan.arena, limits.memory))
            size = "x".join(map(str, plan.images[2:]))
            raise MemoryError(f"images of {size} need {needed} GB of memory, {free} GB are free")
        return native.Executor(plan, weights=self._weights, memory=self._memory, limits=limits)
