"""A network as compiled programs, one for each shape of input, made when first needed; weights can be replaced."""

from __future__ import annotations

import copy
import dataclasses
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from yolo import native
from yolo.errors import RuntimeSetupError
from yolo.models.spec import NetworkSpec
from yolo.program.backends.base import Program
from yolo.program.backends.choice import backend_of
from yolo.program.inference.constants import pack_weights
from yolo.program.inference.planner import plan_inference
from yolo.program.ir import INPUT, Graph, Shape
from yolo.program.lower import lower
from yolo.program.passes import optimise
from yolo.program.plan import Plan
from yolo.program.target import Target

MOST_SHAPES = 40
"""Programs that are kept: images of any form, letterboxed at 640 in steps of 32, have 39 shapes. They share the maps of
the largest; each has 0.2 to 0.7 MB of its own, and takes 8 ms to build."""
_MOST_TOGETHER = 16
"""Images of 640x640 of a batch, where threads are not more."""
MOST_WORK = 1e15
"""Operations an image: a thousand times those of YOLOv5x6 at 1280 pixels."""


class CompiledNetwork:
    """The programs of a network for inference on "cpu" or "cuda:N". Threads may share it.

    ``program(shape)`` gives the one for images uint8 ``[B, C, H, W]``; its outputs are raw heads, float32
    ``[B, na * (5 + nc), h, w]`` a level. On a processor the images of a batch go side by side, each on one thread,
    where they are as many as the threads. Least recently used programs are dropped when there are many; whoever holds
    one may go on using it.
    """

    def __init__(
        self, graph: Graph, *, precision: str = "fp32", threads: int = 0, device: str = "cpu", exact: bool = False
    ) -> None:
        """``graph``: optimised for this precision, and quantised for int8 (``int8.build``). ``exact``: convolutions are
        computed as they are defined, not by Winograd's algorithm, whose sums round otherwise.

        Raises ValueError where it is not, or where the device does not compute so, and RuntimeSetupError where there is
        no such device.
        """
        if (precision == "int8") != bool(graph.scales):
            raise ValueError(f"a graph {'with' if graph.scales else 'without'} int8 values does not run in {precision}")
        self.target = Target.of(device, precision, threads)
        self.device, self.backend, self.exact = device, backend_of(device), exact
        self._memory, self._largest = self.backend.memory(), 0
        self._process = os.getpid()
        self._weights = pack_weights(graph, self.target, self.backend.weights())
        self.graph = dataclasses.replace(graph, tensors={})  # its programs have them
        self._programs: OrderedDict[Shape, Program] = OrderedDict()
        self._lock = threading.RLock()
        self._lanes: list[CompiledNetwork] = []
        self._whole: CompiledNetwork | None = None

    @classmethod
    def of(
        cls,
        spec: NetworkSpec,
        state: Mapping[str, np.ndarray],
        *,
        precision: str = "fp32",
        threads: int = 0,
        device: str = "cpu",
        exact: bool = False,
    ) -> CompiledNetwork:
        """Compile the network of ``spec`` with the tensors of ``state``."""
        graph = optimise(lower(spec, state), precision)
        return cls(graph, precision=precision, threads=threads, device=device, exact=exact)

    @property
    def precision(self) -> str:
        return self.target.precision

    @property
    def pixels_at_once(self) -> int | None:
        """So many of a batch are worth going through together, and with them the memory of their heads; None: all."""
        pixels, threads = self.backend.pixels_at_once, self.target.threads
        return pixels if threads == 1 else pixels * max(threads, min(2 * threads, _MOST_TOGETHER))

    def lanes(self) -> list[CompiledNetwork]:
        """The same network for one thread each, as many as this has threads; none of a single one, as on a GPU.

        They share its weights, have maps of their own, and may run beside one another.
        """
        with self._lock:
            if self.target.threads > 1 and not self._lanes:
                self._lanes = [self._lane() for _ in range(self.target.threads)]
            return self._lanes

    def _lane(self) -> CompiledNetwork:
        lane = copy.copy(self)
        lane.target = dataclasses.replace(self.target, threads=1)
        lane._memory, lane._largest = self.backend.memory(), 0
        lane._programs, lane._lock = OrderedDict(), threading.RLock()
        lane._whole = self
        return lane

    def update(self, spec: NetworkSpec, state: Mapping[str, np.ndarray]) -> None:
        """Replace the weights, in all programs that were made too; those of int8 stay, as their scales do."""
        if self.precision == "int8":
            raise ValueError("the weights of int8 programs are not replaced: quantise the new ones")
        pack_weights(optimise(lower(spec, state), self.precision), self.target, self._weights)

    def require_own_process(self) -> None:
        """Raise RuntimeSetupError in a fork's child on a GPU: CUDA does not work there."""
        if self.device != "cpu" and os.getpid() != self._process:
            hint = "start processes by 'spawn', or use --device cpu"
            raise RuntimeSetupError("a GPU's programs do not run in a fork's child", where=self.device, hint=hint)

    def plan(self, shape: Shape) -> Plan:
        """What runs for images of this shape.

        Raises ValueError for images of other channels than the network's and for a size at which nothing is left.
        """
        if shape[1] != self.graph.channels[INPUT]:
            raise ValueError(f"it takes images of {self.graph.channels[INPUT]} channels, not of {shape[1]}")
        return plan_inference(self.graph, shape, self.target, exact=self.exact)

    def program(self, shape: Shape) -> Program:
        """The one for this shape.

        Raises as ``plan`` does, MemoryError where the device has not as much free, and RuntimeError where it has no way
        to compute something (oneDNN: other than by a reference kernel).
        """
        with self._lock:
            if shape in self._programs:
                self._programs.move_to_end(shape)
                return self._programs[shape]
            lanes = self._lane_programs(shape)
            found = self.backend.batch(lanes, shape[0], self._memory) if lanes else self._built(self.plan(shape))
            self._programs[shape] = found
            while len(self._programs) > MOST_SHAPES:
                self._programs.popitem(last=False)
            return self._programs[shape]

    def _built(self, plan: Plan) -> Program:
        if self._whole is not None and not self._programs:  # what grows later stays with those that have it
            self._memory.match(self._whole._memory)
        free = self.backend.free_memory()
        if plan.arena > max(free, self._largest):  # what the programs share is theirs already, though it is not free
            needed, free = (round(number / 1e9, 1) for number in (plan.arena, free))
            size = "x".join(map(str, plan.images[2:]))
            raise MemoryError(f"images of {size} need {needed} GB of memory, {free} GB are free")
        limits = native.Limits(free + self._memory.bytes, MOST_WORK)
        program = self.backend.program(plan, self._weights, self._memory, limits)
        self._largest = max(self._largest, plan.arena)
        return program

    def _lane_programs(self, shape: Shape) -> list[Program]:
        """Programs for one image on one thread each, for a batch of this shape in which none of them is idle; none
        where memory has no room for them all.
        """
        if not 1 < self.target.threads <= shape[0]:
            return []
        try:
            return [lane.program((1, *shape[1:])) for lane in self.lanes()]
        except MemoryError:
            return []
