"""The backward steps of a training plan, in the reverse order of its operations.

Every value has a list of views whose sum is its gradient. Batch norms with what follows them, pools and upsampling add
them up while they read them, so that residual sums and concatenations have no steps here.
"""

from __future__ import annotations

import functools
from collections.abc import Collection

from yolo.models.activation import IDENTITY
from yolo.program import ir
from yolo.program.node_steps import ATTENDED, consecutive, index_map, offsets, resampling
from yolo.program.plan_builder import BufferView
from yolo.program.training.forward import TrainingPlanner
from yolo.program.training.fused import Convolutions, FusedOp, NormActAdd
from yolo.program.training.recompute import Sources

MOST_GRADIENTS = 2
"""A norm that reads more stores their sum on the way: its second pass and those before it then read one."""
MOST_SOURCES = 8
"""More than this many are added up by a step of their own."""


class Gradients:
    """What is known of the values' gradients so far, and where the values themselves are."""

    def __init__(self, planner: TrainingPlanner, frozen: Collection[str], recompute: bool) -> None:
        self.planner, self.sources = planner, Sources(planner, recompute)
        self.wanted = planner.graph.differentiable(frozen)
        self._views: dict[int, list[BufferView]] = {}

    def give(self, value: int, *views: BufferView) -> None:
        """Add views to a value's gradient, where anybody needs it."""
        if value in self.wanted:
            self._views.setdefault(value, []).extend(views)

    def of(self, value: int, where: str) -> list[BufferView]:
        """The views of a gradient, few enough for one step; none where the value does not reach a head."""
        views = self._views.get(value, [])
        while len(views) > MOST_SOURCES:
            views = [self._sum(value, views[:MOST_SOURCES], where), *views[MOST_SOURCES:]]
        return views

    def whole(self, value: int, where: str) -> BufferView | None:
        """The gradient as one whole buffer of the plan's number format."""
        views = self.of(value, where)
        if not views:
            return None
        if len(views) == 1 and self.planner.placement.is_whole(views[0], self.planner.graph.channels[value]):
            return views[0]
        return self._sum(value, views, where)

    def new(self, value: int) -> BufferView:
        """A buffer for a gradient."""
        return self.planner.builder.buffer(self.planner.graph.channels[value], self.planner.graph.sizes[value])

    def _sum(self, value: int, views: list[BufferView], where: str) -> BufferView:
        total = self.new(value)
        self.planner.builder.backward("accumulate", where, {"sources": views, "target": total})
        return total


def plan_backward(planner: TrainingPlanner, frozen: Collection[str] = (), *, recompute: bool = False) -> None:
    """Add the pass from the heads' gradients to the parameters'; it ends where all that is left is ``frozen``.

    ``recompute``: it makes cheap feature maps again, so that the forward pass need not keep them.
    """
    gradients = Gradients(planner, frozen, recompute)
    for number, value in enumerate(planner.graph.outputs):
        given = gradients.new(value)
        planner.builder.backward("load_head_gradient", f"output {value}", {"target": given}, number=number)
        gradients.give(value, given)
    for op in reversed(planner.graph.ops):
        _plan(op, planner, gradients)


@functools.singledispatch
def _plan(op: FusedOp, planner: TrainingPlanner, gradients: Gradients) -> None:
    value, whole = op.inputs[0], gradients.whole(op.output, op.where)
    if value not in gradients.wanted or whole is None:
        return
    to, moved = gradients.new(value), index_map(op, planner.graph.channels)
    named = {"index": moved.index, "stride": moved.stride}
    if moved.to_fine:
        planner.builder.backward("gather", op.where, {"fine": whole, "coarse": to}, **named)
    else:
        planner.builder.backward("scatter", op.where, {"fine": to, "coarse": whole}, **named, clear=True)
    gradients.give(value, to)


@_plan.register
def _(op: Convolutions, planner: TrainingPlanner, gradients: Gradients) -> None:
    if op.outputs[0] not in gradients.wanted:
        return
    # The norms behind several outputs have left their gradients where the outputs were, side by side.
    several = len(op.outputs) > 1
    gradient = planner.target(op) if several else gradients.whole(op.outputs[0], op.where)
    if gradient is None:
        return
    to = gradients.new(op.source) if op.source in gradients.wanted else None
    planner.weights(op, learn=True)
    views = {"source": gradients.sources.of(op), "gradient": gradient, "source_gradient": to}
    how = {"of": planner.numbers[op.outputs[0]], "algorithm": planner.algorithm(op)}
    planner.builder.backward("conv_backward", op.where, views, **how)
    if to is not None:
        gradients.give(op.source, to)


@_plan.register
def _(op: NormActAdd, planner: TrainingPlanner, gradients: Gradients) -> None:
    views = gradients.of(op.output, op.where)
    if not views:
        return
    learns = op.norm is not None or op.bias is not None
    total = None
    if learns and len(views) > MOST_GRADIENTS:
        total = gradients.new(op.output)
    if op.residual is not None:
        gradients.give(op.residual, *([total] if total is not None else views))
    if not learns and op.activation == IDENTITY:
        gradients.give(op.source, *views)
        return
    to = _source_gradient(op, planner, gradients)
    if to is None and not learns:
        return
    planner.tensors(op, learn=True)
    roles = {"gradients": views, "source_gradient": to, "sum": total, "source": planner.placement.any(op.source)}
    planner.builder.backward("norm_act_add_backward", op.where, roles, of=planner.numbers[op.output])
    if to is not None:
        gradients.give(op.source, to)


def _source_gradient(op: NormActAdd, planner: TrainingPlanner, gradients: Gradients) -> BufferView | None:
    """Where a norm leaves its source's gradient: over the source itself where nobody else reads that."""
    if op.source not in gradients.wanted:
        return None
    raw, placement = op.source in planner.raw, planner.placement
    alone = len(placement.consumers[op.source]) == 1 and len(placement.views[op.source]) == 1
    if raw and alone and op.source not in planner.graph.outputs:
        return placement.any(op.source)
    return gradients.new(op.source)


@_plan.register
def _(op: ir.Concat, planner: TrainingPlanner, gradients: Gradients) -> None:
    starts, channels = offsets(op, planner.graph.channels), planner.graph.channels
    if planner.placement.joins(op):
        for value, start in zip(op.inputs, starts):
            parts = [view.part(start, channels[value]) for view in gradients.of(op.output, op.where)]
            gradients.give(value, *parts)
        return
    whole = gradients.whole(op.output, op.where)
    for value, start in zip(op.inputs, starts):
        if whole is not None and value in gradients.wanted:
            part = gradients.new(value)
            index = consecutive(start, channels[value])
            planner.builder.backward("gather", op.where, {"fine": whole, "coarse": part}, index=index, stride=1)
            gradients.give(value, part)


@_plan.register(ir.Pool)
@_plan.register(ir.Upsample)
def _(op: ir.Pool | ir.Upsample, planner: TrainingPlanner, gradients: Gradients) -> None:
    value, views = op.inputs[0], gradients.of(op.output, op.where)
    if value not in gradients.wanted or not views:
        return
    to = gradients.new(value)
    roles = {"gradients": views, "source_gradient": to, "index": planner.indices.get(op.output)}
    planner.builder.backward("resample_backward", op.where, roles, **resampling(op))
    gradients.give(value, to)


@_plan.register
def _(op: ir.Attention, planner: TrainingPlanner, gradients: Gradients) -> None:
    gradient = gradients.whole(op.output, op.where)
    if gradient is None:
        return
    to = [gradients.new(value) for value in op.inputs]
    made = dict(zip(("query_gradient", "key_gradient", "value_gradient"), to))
    views = {**dict(zip(ATTENDED, map(planner.placement.any, op.inputs))), "gradient": gradient, **made}
    planner.builder.backward("attention_backward", op.where, views, heads=op.heads)
    for value, view in zip(op.inputs, to):
        gradients.give(value, view)
