"""A network as compiled programs, one for each shape of input, made when first needed; weights can be replaced."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np

from yolo.models.spec import NetworkSpec
from yolo.program._native import native
from yolo.program.inference.planner import build_program, pack_weights
from yolo.program.ir import INPUT, Graph
from yolo.program.lower import lower
from yolo.program.passes import optimise

Shape = tuple[int, int, int, int]

MOST_SHAPES = 16
"""Programs that are kept. One takes 20 MB for a 640-pixel picture of YOLOv5s and 40 ms to build."""
PRECISIONS = ("fp32", "bf16", "int8")


class CompiledNetwork:
    """The inference programs of a network. Threads may share it.

    ``program(shape)`` gives the executor for pictures uint8 ``[B, C, H, W]``; its outputs are raw heads, float32
    ``[B, na * (5 + nc), h, w]`` a level. Least recently used programs are dropped when there are many; whoever holds
    one may go on using it.
    """

    def __init__(self, graph: Graph, *, precision: str = "fp32", threads: int = 0) -> None:
        """``graph``: optimised for this precision, and quantised for int8 (``int8.build``).

        Raises ValueError where it is not, or where the processor has no such instructions.
        """
        if (precision == "int8") != bool(graph.scales):
            raise ValueError(f"a graph {'with' if graph.scales else 'without'} int8 values does not run in {precision}")
        self.precision, self._threads = precision, threads
        self._weights = pack_weights(graph)
        self.graph = dataclasses.replace(graph, tensors={})  # its programs have them
        self._programs: OrderedDict[Shape, native.InferenceProgram] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def of(
        cls, spec: NetworkSpec, state: Mapping[str, np.ndarray], *, precision: str = "fp32", threads: int = 0
    ) -> CompiledNetwork:
        """Compile the network of ``spec`` with the tensors of ``state``."""
        return cls(optimise(lower(spec, state), precision), precision=precision, threads=threads)

    def update(self, spec: NetworkSpec, state: Mapping[str, np.ndarray]) -> None:
        """Replace the weights, in all programs that were made too; those of int8 stay, with the scales they go with."""
        if self.precision == "int8":
            raise ValueError("the weights of int8 programs are not replaced: quantise the new ones")
        pack_weights(optimise(lower(spec, state), self.precision), self._weights)

    def program(self, shape: Shape) -> native.InferenceProgram:
        """The executor for this shape.

        Raises ValueError for pictures of other channels than the network's, and as ``build_program`` does.
        """
        if shape[1] != self.graph.channels[INPUT]:
            raise ValueError(f"it takes pictures of {self.graph.channels[INPUT]} channels, not of {shape[1]}")
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
