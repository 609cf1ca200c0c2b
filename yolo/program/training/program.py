"""The training program of a network for one batch of images."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np

from yolo.program._native import native
from yolo.program.ir import Graph
from yolo.program.plan import Plan, Shape
from yolo.program.plan_builder import PlanBuilder
from yolo.program.target import Target
from yolo.program.training.backward import plan_backward
from yolo.program.training.forward import Norm, TrainingPlanner, plan_forward
from yolo.program.training.fused import fuse
from yolo.program.training.placement import Placement

PRECISIONS: Final = ("fp32", "bf16")
DEFAULT_NORM: Final = Norm()


def plan_training(
    graph: Graph,
    shape: Shape,
    values: Mapping[str, int],
    target: Target,
    *,
    bytes_in: bool = True,
    recompute: bool = False,
    norm: Norm = DEFAULT_NORM,
    frozen: Collection[str] = (),
) -> Plan:
    """The plan of a graph as ``lower`` gives it, forward and backward.

    ``shape``: of the images, ``[B, C, H, W]``, uint8 in 0..255 (float32 in 0..1 without ``bytes_in``). ``values``:
    where each tensor starts in the vector of parameters and statistics; weights lie there as OneFlow orders them.
    ``target`` of "bf16": feature maps and products in bfloat16 with sums, statistics, weights and their gradients in
    float32. ``recompute``: less memory and more time, the same numbers (see ``recompute.py``). ``frozen``: names of
    parameters that do not learn; their gradients are worked out only where that is on the way to others.

    Raises ValueError for a size at which nothing is left and for another number of channels.
    """
    batch, channels, height, width = shape
    if channels != graph.channels[0]:
        raise ValueError(f"the network takes {graph.channels[0]} channels, not {channels}")
    fused, builder = fuse(graph, height, width, target.block), PlanBuilder(target, batch)
    planner = TrainingPlanner(fused, builder, Placement(fused, builder), values, norm)
    plan_forward(planner, bytes_in=bytes_in)
    plan_backward(planner, frozen, recompute=recompute)
    heads = [(batch, fused.channels[value], *fused.sizes[value]) for value in fused.outputs]
    return builder.build(shape, heads, values=planner.values_end, gradient=planner.gradient_end)


class TrainingPasses:
    """The forward and the backward pass of a network for one shape of input.

    ``forward_pass`` and ``backward_pass`` are the Runnables for ``yolo.program.operator.call``: images and (mutable)
    values to heads; head gradients, values and (mutable) gradient to nothing. ``backward`` belongs to the last
    ``forward``, once. ``head_shapes``: ``[B, na * (5 + nc), h, w]`` a level. ``notes``: convolutions that take slow
    ways.
    """

    def __init__(self, plan: Plan, memory: native.Memory | None, exchange: native.Exchange | None) -> None:
        self.plan, self.head_shapes = plan, plan.heads
        self.executor = native.Executor(plan, memory=memory or native.Memory(), exchange=exchange)
        self.forward_pass, self.backward_pass = self.executor, native.BackwardPass(self.executor)
        self.notes: list[str] = self.executor.notes
        self.memory_bytes: int = self.executor.memory_bytes

    def forward(self, images: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
        """uint8 (or float32) [B, C, H, W] and float32 [size] -> raw heads, float32; moves the statistics in ``values``.

        Raises ValueError for other shapes, dtypes or orders than the plan was made for.
        """
        return self.executor(images, values)

    def backward(self, head_gradients: Sequence[np.ndarray], values: np.ndarray, gradient: np.ndarray) -> None:
        """Add the gradient of the parameters to ``gradient``, float32 [parameter_size].

        Raises RuntimeError without a ``forward`` before it.
        """
        self.executor.backward(list(head_gradients), values, gradient)

    def profile(self, on: bool = True) -> None:
        """Begin (or stop) to take the time of every step."""
        self.executor.profile(on)

    def steps(self) -> list[native.StepInfo]:
        """Where, kind, implementation, flops, bytes of each step, and its milliseconds over so many runs."""
        return self.executor.steps


def build_training_program(
    graph: Graph,
    shape: Shape,
    values: Mapping[str, int],
    *,
    threads: int = 0,
    precision: str = "fp32",
    exchange: native.Exchange | None = None,
    memory: native.Memory | None = None,
    **options: object,
) -> TrainingPasses:
    """Plan (with the ``options`` of ``plan_training``) and build the passes of a graph.

    ``threads`` of 0 takes one for each core. ``precision``: "fp32" or "bf16". ``exchange``: batch norms take their
    statistics over all ranks' batches, each of this shape. ``memory``: to be shared with programs that never run at
    the same time; each backward then follows its forward.

    Raises ValueError as ``plan_training`` does, and for an unknown precision or bf16 on a processor without it.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r}; known: {', '.join(PRECISIONS)}")
    target = Target.of(precision=precision, threads=threads)
    return TrainingPasses(plan_training(graph, shape, values, target, **options), memory, exchange)
