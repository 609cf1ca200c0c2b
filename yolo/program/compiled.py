"""A network as compiled programs, one for each shape of input, made when first needed; weights can be replaced."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from yolo.models.spec import NetworkSpec
from yolo.program._native import native
from yolo.program.inference.planner import build_program, pack_weights
from yolo.program.ir import Graph
from yolo.program.lower import lower
from yolo.program.passes import optimise

Shape = tuple[int, int, int, int]

MOST_SHAPES = 16
"""Programs that are kept. One takes 20 MB for a 640-pixel picture of YOLOv5s and 40 ms to build."""
PRECISIONS = ("fp32", "bf16")


class CompiledNetwork:
    """The inference programs of a network. Threads may share it.

    ``program(shape)`` gives the executor for pictures uint8 ``[B, C, H, W]``; its outputs are raw heads, float32
    ``[B, na * (5 + nc), h, w]`` a level. Least recently used programs are dropped when there are many; whoever holds
    one may go on using it.
    """

    def __init__(self, graph: Graph, *, precision: str = "fp32", threads: int = 0) -> None:
        """``graph``: optimised for this precision. Raises ValueError where the processor has no such instructions."""
        self.graph, self.precision = graph, precision
        self._threads = threads
        self._weights = pack_weights(graph)
        self._programs: OrderedDict[Shape, native.InferenceProgram] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls, spec: NetworkSpec, state: Mapping[str, np.ndarray], *, precision: str = "fp32", threads: int = 0
    ) -> CompiledNetwork:
        """Compile the network of ``spec`` with the tensors of ``state``."""
        return cls(optimise(lower(spec, state), precision), precision=precision, threads=threads)

    def update(self, spec: NetworkSpec, state: Mapping[str, np.ndarray]) -> None:
        """Replace the weights, in all programs that were made too."""
        self.graph = optimise(lower(spec, state), self.precision)
        pack_weights(self.graph, self._weights)

    def program(self, shape: Shape) -> native.InferenceProgram:
        """The executor for this shape. Raises ValueError for sizes that leave nothing of the picture."""
        with self._lock:
            if shape in self._programs:
                self._programs.move_to_end(shape)
                return self._programs[shape]
            program = build_program(
                self.graph,
                self._weights,
                shape[2:],
                batch=shape[0],
                threads=self._threads,
                bf16=self.precision == "bf16",
            )
            self._programs[shape] = program
            while len(self._programs) > MOST_SHAPES:
                self._programs.popitem(last=False)
            return program

    def head_shapes(self, shape: Shape) -> list[Shape]:
        """Shapes of the raw heads for input of this shape."""
        sizes = self.graph.sizes(*shape[2:])
        return [(shape[0], self.graph.channels[value], *sizes[value]) for value in self.graph.outputs]
