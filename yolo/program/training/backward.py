"""The backward steps of a training program, in the reverse order of its units.

Every value has a list of slices whose sum is its gradient. Stages, pools and upsampling add them up while they read
them, so that residual sums and concatenations have no steps here.
"""

from __future__ import annotations

import functools
from collections.abc import Collection

from yolo.models.activation import IDENTITY
from yolo.program import ir
from yolo.program.training.forward import Plan, resampling, window
from yolo.program.training.links import Move, move_of
from yolo.program.training.maps import Slice
from yolo.program.training.placement import offsets
from yolo.program.training.recompute import Sources
from yolo.program.training.units import Convolutions, Stage, Unit

MOST_GRADIENTS = 2
"""A stage that reads more stores their sum on the way: its second pass and those before it then read one."""
MOST_SOURCES = 8
"""More than this many are added up by a step of their own."""


class Gradients:
    """What is known of the values' gradients so far, and where the values themselves are."""

    def __init__(self, plan: Plan, frozen: Collection[str], recompute: bool) -> None:
        self.plan, self.sources = plan, Sources(plan, recompute)
        self.wanted = plan.work.differentiable(frozen)
        self._slices: dict[int, list[Slice]] = {}

    def give(self, value: int, *slices: Slice) -> None:
        """Add slices to a value's gradient, where anybody needs it."""
        if value in self.wanted:
            self._slices.setdefault(value, []).extend(slices)

    def of(self, value: int, where: str) -> list[Slice]:
        """The slices of a gradient, few enough for one step; none where the value does not reach a head."""
        slices = self._slices.get(value, [])
        while len(slices) > MOST_SOURCES:
            slices = [self._sum(value, slices[:MOST_SOURCES], where), *slices[MOST_SOURCES:]]
        return slices

    def whole(self, value: int, where: str) -> Slice | None:
        """The gradient as one whole buffer of the program's number format."""
        slices = self.of(value, where)
        if not slices:
            return None
        if len(slices) == 1 and self.plan.placement.is_whole(slices[0], self.plan.work.channels[value]):
            return slices[0]
        return self._sum(value, slices, where)

    def new(self, value: int) -> Slice:
        """A buffer for a gradient."""
        return self.plan.recorder.map(self.plan.work.channels[value], self.plan.work.sizes[value])

    def _sum(self, value: int, slices: list[Slice], where: str) -> Slice:
        total = self.new(value)
        self.plan.recorder.record("accumulate", where, slices, total)
        return total


def record_backward(plan: Plan, frozen: Collection[str] = (), *, recompute: bool = False) -> None:
    """Record the pass from the heads' gradients to the parameters'; it ends where all that is left is ``frozen``.

    ``recompute``: it makes cheap feature maps again, so that the forward pass need not keep them.
    """
    gradients = Gradients(plan, frozen, recompute)
    for number, value in enumerate(plan.work.outputs):
        given = gradients.new(value)
        plan.recorder.record("load_head_gradient", f"output {value}", given, number)
        gradients.give(value, given)
    for unit in reversed(plan.work.units):
        _record(unit, plan, gradients)


@functools.singledispatch
def _record(unit: Unit, plan: Plan, gradients: Gradients) -> None:
    _move(unit, move_of(unit, plan.work), plan, gradients)


@_record.register
def _(unit: Convolutions, plan: Plan, gradients: Gradients) -> None:
    if unit.outputs[0] not in gradients.wanted:
        return
    # The stages behind several outputs have left their gradients where the outputs were, side by side.
    several = len(unit.outputs) > 1
    gradient = plan.target(unit) if several else gradients.whole(unit.outputs[0], unit.where)
    if gradient is None:
        return
    to = gradients.new(unit.source) if unit.source in gradients.wanted else None
    plan.recorder.record("conv_back", plan.handles[unit.outputs[0]], gradients.sources.of(unit), gradient, to)
    if to is not None:
        gradients.give(unit.source, to)


@_record.register
def _(unit: Stage, plan: Plan, gradients: Gradients) -> None:
    slices = gradients.of(unit.output, unit.where)
    if not slices:
        return
    learns = unit.norm is not None or unit.bias is not None
    total = None
    if learns and len(slices) > MOST_GRADIENTS:
        total = gradients.new(unit.output)
    if unit.residual is not None:
        gradients.give(unit.residual, *([total] if total is not None else slices))
    if not learns and unit.activation == IDENTITY:
        gradients.give(unit.source, *slices)
        return
    to = _source_gradient(unit, plan, gradients)
    if to is None and not learns:
        return
    source = plan.placement.any(unit.source)
    plan.recorder.record("stage_back", plan.handles[unit.output], slices, to, total, reads=(source,))
    if to is not None:
        gradients.give(unit.source, to)


def _source_gradient(unit: Stage, plan: Plan, gradients: Gradients) -> Slice | None:
    """Where a stage leaves its source's gradient: over the source itself where nobody else reads that."""
    if unit.source not in gradients.wanted:
        return None
    raw = unit.source in plan.raw
    alone = len(plan.placement.consumers[unit.source]) == 1 and len(plan.placement.places[unit.source]) == 1
    if raw and alone and unit.source not in plan.work.outputs:
        return plan.placement.any(unit.source)
    return gradients.new(unit.source)


@_record.register
def _(unit: ir.Concat, plan: Plan, gradients: Gradients) -> None:
    starts, channels = offsets(unit, plan.work), plan.work.channels
    if plan.placement.joins(unit):
        for value, start in zip(unit.inputs, starts):
            parts = [slice_.part(start, channels[value]) for slice_ in gradients.of(unit.output, unit.where)]
            gradients.give(value, *parts)
        return
    whole = gradients.whole(unit.output, unit.where)
    for value, start in zip(unit.inputs, starts):
        if whole is not None and value in gradients.wanted:
            part = gradients.new(value)
            links = [(start + channel, 0, 0) for channel in range(channels[value])]
            plan.recorder.record("collect", unit.where, whole, part, links, 1, True)
            gradients.give(value, part)


@_record.register
def _(unit: ir.Pool, plan: Plan, gradients: Gradients) -> None:
    _resampled(unit, plan, gradients)


@_record.register
def _(unit: ir.Upsample, plan: Plan, gradients: Gradients) -> None:
    _resampled(unit, plan, gradients)


def _resampled(unit: ir.Pool | ir.Upsample, plan: Plan, gradients: Gradients) -> None:
    value, slices = unit.inputs[0], gradients.of(unit.output, unit.where)
    if value not in gradients.wanted or not slices:
        return
    to = gradients.new(value)
    index = plan.indices.get(unit.output, -1)
    plan.recorder.record("resample_back", unit.where, resampling(unit), slices, to, window(unit), index)
    gradients.give(value, to)


@_record.register
def _(unit: ir.Attention, plan: Plan, gradients: Gradients) -> None:
    gradient = gradients.whole(unit.output, unit.where)
    if gradient is None:
        return
    given = [plan.placement.any(value) for value in unit.inputs]
    to = [gradients.new(value) for value in unit.inputs]
    plan.recorder.record("attention_back", unit.where, given, gradient, to, unit.heads)
    for value, slice_ in zip(unit.inputs, to):
        gradients.give(value, slice_)


def _move(node: ir.Node, move: Move, plan: Plan, gradients: Gradients) -> None:
    value, whole = node.inputs[0], gradients.whole(node.output, node.where)
    if value not in gradients.wanted or whole is None:
        return
    to, links = gradients.new(value), list(move.links)
    if move.to_fine:
        plan.recorder.record("collect", node.where, whole, to, links, move.stride, True)
    else:
        plan.recorder.record("spread", node.where, to, whole, links, move.stride, True, True)
    gradients.give(value, to)
