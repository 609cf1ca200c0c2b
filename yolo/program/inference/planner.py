"""From an optimised graph to a plan for images of one shape."""

from __future__ import annotations

import functools

from yolo.models.activation import IDENTITY
from yolo.program import ir
from yolo.program.index_map import consecutive
from yolo.program.inference.placement import place
from yolo.program.int8.rules import is_int8
from yolo.program.ir import INPUT, Graph, Node
from yolo.program.node_steps import PLAIN_CHANNELS, activated, add_step, convolution, offsets
from yolo.program.plan import Attribute, Plan, Shape
from yolo.program.plan_builder import Buffer, BufferView, PlanBuilder
from yolo.program.target import Target

ALIGNMENT = 64


def plan_inference(graph: Graph, shape: Shape, target: Target) -> Plan:
    """The plan for images uint8 of this shape, ``[B, C, H, W]``; heads are float32 ``[B, C, h, w]`` a level.

    ``graph`` went through ``passes.optimise``. The images of a batch go through one after the other: on a CPU that
    costs nothing, and the channels of one image are dense, so that values are joined without copies. Raises
    ValueError, which names the step, for a size at which nothing is left.
    """
    return _Planner(graph, shape, target).plan()


class _Planner:
    """Carries one plan: where every value lies, and the steps so far."""

    def __init__(self, graph: Graph, shape: Shape, target: Target) -> None:
        self.graph, self.shape, self.target = graph, shape, target
        self.sizes, self.heads = graph.sizes(*shape[2:]), set(graph.outputs)
        self.builder = PlanBuilder(target, 1, ALIGNMENT)
        self.placement = place(graph, target.block)
        convs = {node.output for node in graph.nodes if isinstance(node, ir.Conv) and is_int8(node, graph)}
        self.together = graph.scales.keys() | convs
        self.slabs: dict[int, Buffer] = {}
        self.images: dict[str, BufferView] = {}

    def plan(self) -> Plan:
        for node in self.graph.nodes:
            if INPUT in node.inputs:
                self._load(self._layout(node))
        for node in self.graph.nodes:
            _emit(node, self)
        for number, value in enumerate(self.graph.outputs):
            self.builder.forward("store_head", f"output {value}", {"source": self.view(value)}, number=number)
        batch = self.shape[0]
        heads = [(batch, self.graph.channels[value], *self.sizes[value]) for value in self.graph.outputs]
        return self.builder.build(self.shape, heads, per_image=True)

    def view(self, value: int, reader: Node | None = None) -> BufferView:
        """Where a value lies; the images, for one of their readers."""
        if value == INPUT:
            return self.images[self._layout(reader)]
        slab, channels = self.placement.slab[value], self.graph.channels[value]
        if value in self.together:
            return self._buffer(slab, channels, value, "nhwc")
        return self._buffer(slab, self.placement.widths[slab], value, "blocked")

    def _buffer(self, slab: int, width: int, value: int, layout: str) -> BufferView:
        if slab not in self.slabs:
            self.slabs[slab] = Buffer(width, self.sizes[value], self._element(value), layout)
        return BufferView(self.slabs[slab], self.placement.start[value], self.graph.channels[value])

    def _load(self, layout: str) -> None:
        if layout in self.images:
            return
        element = 1 if layout == "nhwc" else self.target.element
        target = self.builder.buffer(self.graph.channels[INPUT], self.sizes[INPUT], element, layout)
        self.images[layout] = target
        whole = self.graph.whole_pixels or layout == "nhwc"
        self.builder.forward("load_images", "input", {"target": target}, bytes=True, divisor=1.0 if whole else 255.0)

    def _layout(self, reader: Node) -> str:
        """Of the images for one of their readers."""
        if INPUT in self.graph.scales:
            return "nhwc"
        few = self.graph.channels[INPUT] <= PLAIN_CHANNELS
        plain = (isinstance(reader, ir.Conv) and few and reader.groups == 1) or isinstance(reader, ir.SpaceToDepth)
        return "nchw" if plain else "blocked"

    def _element(self, value: int) -> int:
        """Bytes of a number; what comes out of the network is float32 always."""
        if value in self.graph.scales:
            return 1
        return 4 if value in self.heads else self.target.element

    def scale(self, role: str, value: int | None) -> dict[str, Attribute]:
        """What the bytes of a value stand for, as attributes; none for floats."""
        found = self.graph.scales.get(value)
        return {} if found is None else {f"{role}_step": found.step, f"{role}_zero": found.zero}

    def copy(self, where: str, source: BufferView, start: int, target: BufferView, at: int, count: int) -> None:
        """``count`` channels of ``source`` from ``start`` to those of ``target`` from ``at``."""
        block = self.target.block
        if source.buffer.layout == "nhwc":
            views = {"source": source, "target": target}
            self.builder.forward("copy_bytes", where, views, source_first=start, target_first=at, count=count)
        elif at % block == 0 and (count % block == 0 or at + count == target.channels):
            views = {"fine": source, "coarse": target.part(at, count)}
            self.builder.forward("gather", where, views, index=consecutive(start, count), stride=1)
        else:
            first = at // block * block
            views = {"fine": target.part(first, at + count - first), "coarse": source}
            self.builder.forward("scatter", where, views, index=consecutive(at - first, count), stride=1, clear=False)

    def pointwise(self, node: Node, residual: int | None = None, **attributes: Attribute) -> None:
        """One of the steps that work on numbers one by one."""
        views = {"source": self.view(node.inputs[0], node), "targets": self.view(node.output)}
        views["residual"] = None if residual is None else self.view(residual, node)
        self.builder.forward("norm_act_add", node.where, views, **activated(IDENTITY) | attributes)


@functools.singledispatch
def _emit(node: Node, planner: _Planner) -> None:
    """Add the steps of a node."""
    inputs = [planner.view(value, node) for value in node.inputs]
    add_step(planner.builder, node, planner.graph.channels, inputs, planner.view(node.output))


@_emit.register
def _(node: ir.Conv, planner: _Planner) -> None:
    residual = None if node.residual is None else planner.view(node.residual, node)
    views = {"source": planner.view(node.inputs[0], node), "target": planner.view(node.output), "residual": residual}
    int8 = is_int8(node, planner.graph)
    ends = {"source": node.inputs[0], "target": node.output, "residual": node.residual} if int8 else {}
    scales = {name: value for role, end in ends.items() for name, value in planner.scale(role, end).items()}
    planner.builder.forward(
        "int8_conv" if int8 else "conv",
        node.where,
        views,
        weights=node.weights,
        bias=node.bias,
        **activated(node.activation),
        **convolution(node),
        **scales,
    )


@_emit.register
def _(node: ir.Concat, planner: _Planner) -> None:
    channels, target = planner.graph.channels, planner.view(node.output)
    for position, (value, start) in enumerate(zip(node.inputs, offsets(node, channels))):
        if (node.output, position) in planner.placement.copies:
            planner.copy(node.where, planner.view(value, node), 0, target, start, channels[value])


@_emit.register
def _(node: ir.Split, planner: _Planner) -> None:
    if node.output in planner.placement.split_copies:
        source = planner.view(node.inputs[0], node)
        planner.copy(node.where, source, node.start, planner.view(node.output), 0, node.count)


@_emit.register
def _(node: ir.BatchNorm, planner: _Planner) -> None:
    planner.pointwise(node, constants=node.weights)


@_emit.register
def _(node: ir.Activate, planner: _Planner) -> None:
    planner.pointwise(node, **activated(node.activation))


@_emit.register
def _(node: ir.Add, planner: _Planner) -> None:
    planner.pointwise(node, node.inputs[1])


@_emit.register
def _(node: ir.Quantise, planner: _Planner) -> None:
    views = {"source": planner.view(node.inputs[0], node), "target": planner.view(node.output)}
    planner.builder.forward("quantise", node.where, views, **planner.scale("scale", node.output))


@_emit.register
def _(node: ir.Dequantise, planner: _Planner) -> None:
    views = {"source": planner.view(node.inputs[0], node), "target": planner.view(node.output)}
    planner.builder.forward("dequantise", node.where, views, **planner.scale("scale", node.inputs[0]))
