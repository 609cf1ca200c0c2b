"""The training program of a network for one batch of pictures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np

from yolo import native
from yolo.program.ir import Graph
from yolo.program.training.backward import record_backward
from yolo.program.training.forward import Norm, Plan, record_forward
from yolo.program.training.maps import Recorder
from yolo.program.training.placement import Placement
from yolo.program.training.units import group

Shape = tuple[int, int, int, int]

ELEMENTS: Final = {"fp32": 4, "bf16": 2}
"""Bytes of a number in the feature maps."""


DEFAULT_NORM: Final = Norm()


class TrainingPasses:
    """The forward and the backward pass of a network for one shape of input.

    ``forward_pass`` and ``backward_pass`` are the Runnables for ``yolo.program.operator.call``: images and (mutable)
    values to heads; head gradients, values and (mutable) gradient to nothing. ``backward`` belongs to the last
    ``forward``, once. ``head_shapes``: ``[B, na * (5 + nc), h, w]`` a level. ``notes``: convolutions that take slow
    ways.
    """

    def __init__(self, program: native.TrainingProgram, head_shapes: list[Shape]) -> None:
        self.executor, self.head_shapes = program, head_shapes
        self.forward_pass, self.backward_pass = native.ForwardPass(program), native.BackwardPass(program)
        self.notes: list[str] = program.notes
        self.memory_bytes: int = program.memory_bytes

    def forward(self, images: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
        """uint8 (or float32) [B, C, H, W] and float32 [size] -> raw heads, float32; moves the statistics in ``values``.

        Raises ValueError for other shapes, dtypes or orders than the program was made for.
        """
        return self.executor.forward(images, values)

    def backward(self, head_gradients: Sequence[np.ndarray], values: np.ndarray, gradient: np.ndarray) -> None:
        """Add the gradient of the parameters to ``gradient``, float32 [parameter_size].

        Raises RuntimeError without a ``forward`` before it.
        """
        self.executor.backward(list(head_gradients), values, gradient)

    def profile(self, on: bool = True) -> None:
        """Begin (or stop) to take the time of every step."""
        self.executor.profile(on)

    def steps(self) -> list[native.TrainingStep]:
        """Where, kind, implementation, flops, bytes of each step, and its milliseconds over so many runs."""
        return self.executor.steps()


def build_training_program(
    graph: Graph,
    shape: Shape,
    values: Mapping[str, int],
    *,
    threads: int = 0,
    precision: str = "fp32",
    bytes_in: bool = True,
    recompute: bool = False,
    norm: Norm = DEFAULT_NORM,
    exchange: native.Exchange | None = None,
    frozen: Collection[str] = (),
    memory: native.TrainingMemory | None = None,
) -> TrainingPasses:
    """Plan and build the passes of a graph as ``lower`` gives it.

    ``shape``: of the images, ``[B, C, H, W]``, uint8 in 0..255 (float32 in 0..1 without ``bytes_in``). ``values``:
    where each tensor starts in the vector of parameters and statistics; weights lie there as OneFlow orders them.
    ``threads`` of 0 takes one for each core. ``precision``: "fp32", or "bf16" for feature maps and products in
    bfloat16 with sums, statistics, weights and their gradients in float32. ``recompute``: less memory and more time,
    the same numbers (see ``recompute.py``). ``exchange``: batch norms take their statistics over all ranks' batches,
    each of this shape. ``frozen``: names of parameters that do not learn; their gradients are worked out only where
    that is on the way to others.

    ``memory``: to be shared with programs that never run at the same time; each backward then follows its forward.

    Raises ValueError for a size at which nothing is left, an unknown precision, or bf16 on a processor without it.
    """
    if precision not in ELEMENTS:
        raise ValueError(f"precision {precision!r}; known: {', '.join(ELEMENTS)}")
    batch, channels, height, width = shape
    if channels != graph.channels[0]:
        raise ValueError(f"the network takes {graph.channels[0]} channels, not {channels}")
    work = group(graph, height, width, native.channel_block())
    recorder = Recorder(batch, ELEMENTS[precision], native.channel_block())
    plan = Plan(work, recorder, Placement(work, recorder), values, norm)
    record_forward(plan, bytes_in=bytes_in)
    record_backward(plan, frozen, recompute=recompute)
    heads = [(batch, work.channels[value], *work.sizes[value]) for value in work.outputs]
    program = recorder.build(threads or native.default_threads(), memory or native.TrainingMemory(), exchange)
    return TrainingPasses(program, heads)
