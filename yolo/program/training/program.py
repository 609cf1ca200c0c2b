"""The training plan of a network for one batch of images."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from yolo.program.ir import Graph, Shape
from yolo.program.plan import Plan
from yolo.program.plan_builder import PlanBuilder
from yolo.program.target import Target
from yolo.program.training.backward import plan_backward
from yolo.program.training.forward import TrainingPlanner, plan_forward
from yolo.program.training.fused import fuse
from yolo.program.training.placement import Placement


def plan_training(
    graph: Graph,
    shape: Shape,
    values: Mapping[str, int],
    target: Target,
    *,
    recompute: bool = False,
    frozen: Collection[str] = (),
    exact: bool = False,
) -> Plan:
    """The plan of a graph as ``lower`` gives it, forward and backward.

    ``shape``: of the images, ``[B, C, H, W]``, uint8. ``values``: where each tensor starts in the vector of parameters
    and statistics; weights lie there as OneFlow orders them. ``target``: with "bf16" feature maps and products are
    bfloat16, all else float32. ``recompute``: less memory and more time, the same numbers (see ``recompute.py``).
    ``frozen``: names of parameters that do not learn; their gradients are worked out only where that is on the way to
    others. ``exact``: convolutions are computed as they are defined, not by Winograd's algorithm.

    Raises ValueError for int8, for a size at which nothing is left and for another number of channels.
    """
    if target.precision == "int8":
        raise ValueError("precision 'int8' does not train")
    batch, channels, height, width = shape
    if channels != graph.channels[0]:
        raise ValueError(f"the network takes {graph.channels[0]} channels, not {channels}")
    fused, builder = fuse(graph, height, width, target.block), PlanBuilder(target, batch)
    planner = TrainingPlanner(fused, builder, Placement(fused, builder), values, exact)
    plan_forward(planner)
    plan_backward(planner, frozen, recompute=recompute)
    return builder.build(shape, graph.head_shapes(shape), values=planner.values_end, gradient=planner.gradient_end)
