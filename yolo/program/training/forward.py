"""The forward steps of a training plan."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Final

from yolo.models.activation import IDENTITY, Activation
from yolo.program import ir
from yolo.program.ir import INPUT
from yolo.program.node_steps import activated, add_step, consecutive, convolution, offsets
from yolo.program.passes.fold import EPSILON
from yolo.program.plan import Attribute
from yolo.program.plan_builder import BufferView, PlanBuilder
from yolo.program.training.algorithm import DIRECT, algorithm
from yolo.program.training.fused import Convolutions, FusedGraph, FusedOp, NormActAdd
from yolo.program.training.placement import Placement, takes_plain

BYTE_INDICES = 256
"""Of a max pool's window: the index of the maximum is kept in a byte, or in two where there are more."""
NORM: Final[Mapping[str, float]] = {"eps": EPSILON, "momentum": 0.03}
"""What a batch norm adds to the variance, and how far its running statistics move in a step."""


@dataclasses.dataclass
class TrainingPlanner:
    """What the forward and the backward half of a plan have in common.

    ``values``: tensor name -> its offset; ``exact``: all convolutions are direct.
    """

    graph: FusedGraph
    builder: PlanBuilder
    placement: Placement
    values: Mapping[str, int]
    exact: bool = False
    numbers: dict[int, int] = dataclasses.field(default_factory=dict)
    """Of forward steps that backward steps name, by the first value that they make."""
    indices: dict[int, BufferView] = dataclasses.field(default_factory=dict)
    """Where max pools keep which number of a window was the maximum."""
    values_end: int = 0
    gradient_end: int = 0
    """Numbers that the vectors of values and of their gradient must have."""

    @functools.cached_property
    def raw(self) -> set[int]:
        """Values as convolutions make them."""
        return {value for op in self.graph.ops if isinstance(op, Convolutions) for value in op.outputs}

    def offset(self, tensor: str, size: int, *, learns: bool = False) -> int:
        """Where a tensor of so many numbers starts among the values; ``learns``: a step adds to its gradient."""
        part = self.graph.parts.get(tensor)
        start = self.values[tensor] if part is None else self.values[part.tensor] + part.number * size
        self.values_end = max(self.values_end, start + size)
        if learns:
            self.gradient_end = max(self.gradient_end, start + size)
        return start

    def weights(self, op: Convolutions, *, learn: bool = False) -> dict[str, Attribute]:
        """Where a step finds the weights and the bias of convolutions: offset and count of each piece."""
        rows: list[int] = []
        for node, made in zip(op.nodes, op.outputs):
            given = self.graph.channels[node.inputs[0]]
            size = given * self.graph.channels[made] // node.groups * math.prod(node.kernel)
            rows += [self.offset(f"{node.weights}.weight", size, learns=learn), size]
        bias = f"{op.nodes[0].weights}.bias"
        found = {"bias": self.offset(bias, op.nodes[0].out_channels, learns=learn)} if op.bias else {}
        return {"weights": tuple(rows), **found}

    def tensors(self, op: NormActAdd, *, learn: bool = False) -> dict[str, Attribute]:
        """The same of a batch norm or a bias."""
        channels, found = self.graph.channels[op.source], {}
        if op.norm is not None:
            for name in ("weight", "bias"):
                found[name] = self.offset(f"{op.norm}.{name}", channels, learns=learn)
            for name in ("mean", "variance"):
                tensor = {"mean": "running_mean", "variance": "running_var"}[name]
                found[name] = self.offset(f"{op.norm}.{tensor}", channels)
        elif op.bias is not None:
            found["bias"] = self.offset(op.bias, channels, learns=learn)
        return found

    def algorithm(self, op: Convolutions) -> str:
        """By which its passes go, forward and backward."""
        target = self.builder.target
        if self.exact or (not target.amx and self.source(op).buffer.layout != target.layout):
            return DIRECT
        made = (self.builder.batch, self.target(op).channels, *self.graph.sizes[op.outputs[0]])
        return algorithm(op, self.graph.channels[op.source], made, target)

    def source(self, op: Convolutions) -> BufferView:
        """What a convolution reads."""
        images = self.placement.plain_images
        if op.source == INPUT and images is not None and takes_plain(op):
            return images
        return self.placement.whole(op.source)

    def target(self, op: Convolutions) -> BufferView:
        """What a convolution writes: the buffer in which its outputs lie side by side."""
        first = self.placement.any(op.outputs[0])
        return BufferView(first.buffer, 0, sum(self.graph.channels[value] for value in op.outputs))


def plan_forward(planner: TrainingPlanner) -> None:
    """Add the pass from images to heads."""
    images = planner.placement.plain_images
    for view in ([images] if images is not None else []) + planner.placement.views[INPUT]:
        planner.builder.forward("load_images", "input", {"target": view}, divisor=255.0)
    for op in planner.graph.ops:
        _plan(op, planner)
    for number, value in enumerate(planner.graph.outputs):
        source = planner.placement.any(value)
        planner.builder.forward("store_head", f"output {value}", {"source": source}, number=number)


@functools.singledispatch
def _plan(op: FusedOp, planner: TrainingPlanner) -> None:
    any_view, channels = planner.placement.any, planner.graph.channels
    if isinstance(op, ir.Pool) and not op.average:
        element = 1 if op.kernel**2 <= BYTE_INDICES else 2
        planner.indices[op.output] = planner.builder.buffer(
            channels[op.output], planner.graph.sizes[op.output], element
        )
    index = planner.indices.get(op.output)
    add_step(planner.builder, op, channels, [*map(any_view, op.inputs)], any_view(op.output), index)
    _copy(op.output, op.where, planner)


@_plan.register
def _(op: Convolutions, planner: TrainingPlanner) -> None:
    node = op.nodes[0]
    planner.numbers[op.outputs[0]] = planner.builder.forward(
        "conv_forward",
        op.where,
        {"source": planner.source(op), "target": planner.target(op)},
        algorithm=planner.algorithm(op),
        **convolution(node),
        **planner.weights(op),
    )
    for value in op.outputs:
        _copy(value, op.where, planner)


def _copy(value: int, where: str, planner: TrainingPlanner) -> None:
    """Fill the views of a value but the first."""
    first, *others = planner.placement.views[value]
    if others:
        _norm_act_add(planner, where, {"source": first, "targets": others}, IDENTITY)


def _norm_act_add(
    planner: TrainingPlanner,
    where: str,
    views: Mapping[str, BufferView | list[BufferView] | None],
    activation: Activation,
    **tensors: Attribute,
) -> int:
    attributes = {**activated(activation), **NORM, **tensors}
    return planner.builder.forward("norm_act_add", where, views, **attributes)


@_plan.register
def _(op: NormActAdd, planner: TrainingPlanner) -> None:
    views = {
        "source": planner.placement.any(op.source),
        "targets": planner.placement.views[op.output],
        "residual": None if op.residual is None else planner.placement.any(op.residual),
    }
    tensors = planner.tensors(op)
    planner.numbers[op.output] = _norm_act_add(planner, op.where, views, op.activation, **tensors)


@_plan.register
def _(op: ir.Concat, planner: TrainingPlanner) -> None:
    if planner.placement.joins(op):
        return
    whole = planner.placement.any(op.output)
    for number, (value, start) in enumerate(zip(op.inputs, offsets(op, planner.graph.channels))):
        views = {"fine": whole, "coarse": planner.placement.any(value)}
        index = consecutive(start, planner.graph.channels[value])
        planner.builder.forward("scatter", op.where, views, index=index, stride=1, clear=number == 0)
    _copy(op.output, op.where, planner)
