"""The forward steps of a training program."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping

from yolo.models.activation import IDENTITY, Activation
from yolo.program import ir
from yolo.program.ir import INPUT
from yolo.program.training.links import Move, move_of
from yolo.program.training.maps import Buffer, Handle, Recorder, Slice
from yolo.program.training.placement import Placement, offsets
from yolo.program.training.units import Convolutions, Stage, Unit, Work

BYTE_PLACES = 256
"""Of a max pool's window: which place holds the maximum is kept in a byte, or in two where there are more."""


@dataclasses.dataclass(frozen=True)
class Norm:
    """What a batch norm adds to the variance, and how far its running statistics move in a step."""

    eps: float = 1e-3
    momentum: float = 0.03


@dataclasses.dataclass
class Plan:
    """What the forward and the backward half of a plan have in common; ``values``: tensor name -> its offset."""

    work: Work
    recorder: Recorder
    placement: Placement
    values: Mapping[str, int]
    norm: Norm
    handles: dict[int, Handle] = dataclasses.field(default_factory=dict)
    """By the first value that a unit makes."""
    indices: dict[int, Buffer] = dataclasses.field(default_factory=dict)
    """Where max pools keep the places of their maxima."""

    @functools.cached_property
    def raw(self) -> set[int]:
        """Values as convolutions make them."""
        return {value for unit in self.work.units if isinstance(unit, Convolutions) for value in unit.outputs}

    def offset(self, tensor: str, size: int = 0) -> int:
        """Where a tensor, of this size if it is part of another, starts among the values."""
        part = self.work.parts.get(tensor)
        return self.values[tensor] if part is None else self.values[part.tensor] + part.number * size

    def source(self, unit: Convolutions) -> Slice:
        """What a convolution reads."""
        pictures = self.placement.pictures
        if unit.source == INPUT and pictures is not None and unit.nodes[0].groups == 1 and not unit.nodes[0].transposed:
            return pictures
        return self.placement.whole(unit.source)

    def target(self, unit: Convolutions) -> Slice:
        """What a convolution writes: the buffer in which its outputs lie side by side."""
        first = self.placement.any(unit.outputs[0])
        return Slice(first.buffer, 0, sum(self.work.channels[value] for value in unit.outputs))


def record_forward(plan: Plan, *, bytes_in: bool) -> None:
    """Record the pass from pictures (uint8 if ``bytes_in``, else float32) to heads."""
    pictures = plan.placement.pictures
    for place in ([pictures] if pictures is not None else []) + plan.placement.places[INPUT]:
        plan.recorder.record("load_images", place, bytes_in)
    for unit in plan.work.units:
        _record(unit, plan)
    for value in plan.work.outputs:
        plan.recorder.record("store_head", f"output {value}", plan.placement.any(value))


@functools.singledispatch
def _record(unit: Unit, plan: Plan) -> None:
    _move(unit, move_of(unit, plan.work), plan)


@_record.register
def _(unit: Convolutions, plan: Plan) -> None:
    node, target = unit.nodes[0], plan.target(unit)
    channels = plan.work.channels
    sizes = [_weights(each, channels[each.inputs[0]], channels[made]) for each, made in zip(unit.nodes, unit.outputs)]
    rows = [(plan.offset(f"{each.weights}.weight", size), size) for each, size in zip(unit.nodes, sizes)]
    plan.handles[unit.outputs[0]] = plan.recorder.record(
        "conv",
        unit.where,
        plan.source(unit),
        target,
        weights=rows,
        bias=plan.offset(f"{node.weights}.bias", node.out_channels) if unit.bias else -1,
        kernel=list(node.kernel),
        stride=list(node.stride),
        padding=list(node.padding),
        dilation=list(node.dilation),
        groups=node.groups,
        transposed=node.transposed,
    )
    for value in unit.outputs:
        _copy(value, unit.where, plan)


def _weights(node: ir.Conv, given: int, made: int) -> int:
    return given * made // node.groups * math.prod(node.kernel)


def _copy(value: int, where: str, plan: Plan) -> None:
    """Fill the places of a value but the first."""
    first, *others = plan.placement.places[value]
    if others:
        _stage(plan, where, first, others, None, IDENTITY, [-1] * 4)


def _stage(
    plan: Plan,
    where: str,
    source: Slice,
    targets: list[Slice],
    residual: Slice | None,
    activation: Activation,
    tensors: list[int],
) -> Handle:
    return plan.recorder.record(
        "stage",
        where,
        source,
        targets,
        residual=residual,
        activation=activation.name,
        value=0.0 if activation.value is None else activation.value,
        tensors=tensors,
        eps=plan.norm.eps,
        momentum=plan.norm.momentum,
    )


@_record.register
def _(unit: Stage, plan: Plan) -> None:
    tensors = [-1] * 4
    if unit.norm is not None:
        names = ("weight", "bias", "running_mean", "running_var")
        tensors = [plan.offset(f"{unit.norm}.{name}") for name in names]
    elif unit.bias is not None:
        tensors[1] = plan.offset(unit.bias)
    residual = None if unit.residual is None else plan.placement.any(unit.residual)
    plan.handles[unit.output] = _stage(
        plan,
        unit.where,
        plan.placement.any(unit.source),
        plan.placement.places[unit.output],
        residual,
        unit.activation,
        tensors,
    )


@_record.register
def _(unit: ir.Concat, plan: Plan) -> None:
    if plan.placement.joins(unit):
        return
    whole = plan.placement.any(unit.output)
    for number, (value, start) in enumerate(zip(unit.inputs, offsets(unit, plan.work))):
        links = [(start + channel, 0, 0) for channel in range(plan.work.channels[value])]
        place = plan.placement.any(value)
        plan.recorder.record("spread", unit.where, whole, place, links, 1, number == 0, False)
    _copy(unit.output, unit.where, plan)


@_record.register
def _(unit: ir.Pool, plan: Plan) -> None:
    if not unit.average:
        channels, size = plan.work.channels[unit.output], plan.work.sizes[unit.output]
        element = 1 if unit.kernel**2 <= BYTE_PLACES else 2
        plan.indices[unit.output] = plan.recorder.map(channels, size, element).buffer
    _resample(unit, plan)


@_record.register
def _(unit: ir.Upsample, plan: Plan) -> None:
    _resample(unit, plan)


def _resample(unit: ir.Pool | ir.Upsample, plan: Plan) -> None:
    source, target = plan.placement.any(unit.inputs[0]), plan.placement.any(unit.output)
    index = plan.indices.get(unit.output, -1)
    plan.recorder.record("resample", unit.where, resampling(unit), source, target, window(unit), index)
    _copy(unit.output, unit.where, plan)


@_record.register
def _(unit: ir.Attention, plan: Plan) -> None:
    given, target = [plan.placement.any(value) for value in unit.inputs], plan.placement.any(unit.output)
    plan.recorder.record("attention", unit.where, given, target, unit.heads)
    _copy(unit.output, unit.where, plan)


def resampling(node: ir.Pool | ir.Upsample) -> str:
    """The native name of a pool or an upsampling."""
    if isinstance(node, ir.Pool):
        return "average_pool" if node.average else "max_pool"
    return node.kind


def window(node: ir.Pool | ir.Upsample) -> tuple[int, int, int]:
    """Kernel, stride and padding."""
    if isinstance(node, ir.Upsample):
        return node.scale, node.scale, 0
    return node.kernel, node.stride, node.padding


def _move(node: ir.Node, move: Move, plan: Plan) -> None:
    source, target = plan.placement.any(node.inputs[0]), plan.placement.any(node.output)
    links = list(move.links)
    if move.to_fine:
        plan.recorder.record("spread", node.where, target, source, links, move.stride, True, False)
    else:
        plan.recorder.record("collect", node.where, source, target, links, move.stride, False)
    _copy(node.output, node.where, plan)
