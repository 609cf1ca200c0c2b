"""From an optimised graph to a plan for images of one shape."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from yolo.program import ir
from yolo.program.index_map import consecutive, index_map
from yolo.program.inference.placement import place
from yolo.program.int8.rules import is_int8
from yolo.program.ir import INPUT, Graph, Node
from yolo.program.plan import Attribute, Plan, Shape
from yolo.program.plan_builder import Buffer, BufferView, PlanBuilder, Views
from yolo.program.target import Target

# A convolution reads the plain images themselves when they have this few channels; blocks would be mostly zeros.
PLAIN_CHANNELS = 4
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
            self.add("store_head", f"output {value}", {"source": self.view(value)}, number=number)
        batch = self.shape[0]
        heads = [(batch, self.graph.channels[value], *self.sizes[value]) for value in self.graph.outputs]
        return self.builder.build(self.shape, heads, per_image=True)

    def add(self, kind: str, where: str, views: Mapping[str, Views], **attributes: Attribute) -> None:
        """A step."""
        self.builder.forward(kind, where, views, **attributes)

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
        self.add("load_images", "input", {"target": target}, bytes=True, divisor=1.0 if whole else 255.0)

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
            self.add("copy_bytes", where, views, source_first=start, target_first=at, count=count)
        elif at % block == 0 and (count % block == 0 or at + count == target.channels):
            views = {"fine": source, "coarse": target.part(at, count)}
            self.add("gather", where, views, index=consecutive(start, count), stride=1)
        else:
            first = at // block * block
            views = {"fine": target.part(first, at + count - first), "coarse": source}
            self.add("scatter", where, views, index=consecutive(at - first, count), stride=1, clear=False)

    def resample(self, node: Node, method: str, kernel: int, stride: int, padding: int) -> None:
        views = {"source": self.view(node.inputs[0], node), "target": self.view(node.output)}
        kind = "resample_bytes" if node.output in self.graph.scales else "resample"
        self.add(kind, node.where, views, method=method, kernel=kernel, stride=stride, padding=padding)

    def pointwise(self, node: Node, residual: int | None = None, **attributes: Attribute) -> None:
        """One of the steps that work on numbers one by one."""
        views = {"source": self.view(node.inputs[0], node), "targets": self.view(node.output)}
        views["residual"] = None if residual is None else self.view(residual, node)
        self.add("norm_act_add", node.where, views, **{"activation": "Identity", "value": 0.0} | attributes)


@functools.singledispatch
def _emit(node: Node, planner: _Planner) -> None:
    """Add the steps of a node: by default, one that moves numbers."""
    moved = index_map(node, planner.graph.channels)
    ends = planner.view(node.inputs[0], node), planner.view(node.output)
    if moved.to_fine:
        views = {"coarse": ends[0], "fine": ends[1]}
        planner.add("scatter", node.where, views, index=moved.index, stride=moved.stride, clear=False)
    else:
        planner.add("gather", node.where, {"fine": ends[0], "coarse": ends[1]}, index=moved.index, stride=moved.stride)


@_emit.register
def _(node: ir.Conv, planner: _Planner) -> None:
    residual = None if node.residual is None else planner.view(node.residual, node)
    views = {"source": planner.view(node.inputs[0], node), "target": planner.view(node.output), "residual": residual}
    int8 = is_int8(node, planner.graph)
    ends = {"source": node.inputs[0], "target": node.output, "residual": node.residual} if int8 else {}
    scales = {name: value for role, end in ends.items() for name, value in planner.scale(role, end).items()}
    planner.add(
        "int8_conv" if int8 else "conv",
        node.where,
        views,
        weights=node.weights,
        bias=node.bias,
        activation=node.activation.name,
        value=node.activation.value or 0.0,
        kernel=node.kernel,
        stride=node.stride,
        padding=node.padding,
        dilation=node.dilation,
        groups=node.groups,
        transposed=node.transposed,
        **scales,
    )


@_emit.register
def _(node: ir.Concat, planner: _Planner) -> None:
    start, target = 0, planner.view(node.output)
    for position, value in enumerate(node.inputs):
        count = planner.graph.channels[value]
        if (node.output, position) in planner.placement.copies:
            planner.copy(node.where, planner.view(value, node), 0, target, start, count)
        start += count


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
    planner.pointwise(node, activation=node.activation.name, value=node.activation.value or 0.0)


@_emit.register
def _(node: ir.Add, planner: _Planner) -> None:
    planner.pointwise(node, node.inputs[1])


@_emit.register
def _(node: ir.Attention, planner: _Planner) -> None:
    query, key, value = (planner.view(number, node) for number in node.inputs)
    views = {"query": query, "key": key, "value": value, "target": planner.view(node.output)}
    planner.add("attention", node.where, views, heads=node.heads)


@_emit.register
def _(node: ir.Pool, planner: _Planner) -> None:
    planner.resample(node, "average_pool" if node.average else "max_pool", node.kernel, node.stride, node.padding)


@_emit.register
def _(node: ir.Upsample, planner: _Planner) -> None:
    planner.resample(node, node.kind, node.scale, node.scale, 0)


@_emit.register
def _(node: ir.Quantise, planner: _Planner) -> None:
    views = {"source": planner.view(node.inputs[0], node), "target": planner.view(node.output)}
    planner.add("quantise", node.where, views, **planner.scale("scale", node.output))


@_emit.register
def _(node: ir.Dequantise, planner: _Planner) -> None:
    views = {"source": planner.view(node.inputs[0], node), "target": planner.view(node.output)}
    planner.add("dequantise", node.where, views, **planner.scale("scale", node.inputs[0]))
