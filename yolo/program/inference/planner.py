"""From an optimised graph to a plan for images of one shape."""

from __future__ import annotations

import functools

from yolo.models.activation import IDENTITY
from yolo.program import ir
from yolo.program.inference.algorithm import DIRECT, algorithm, int8_algorithm
from yolo.program.inference.placement import place
from yolo.program.int8.rules import is_int8
from yolo.program.ir import INPUT, Graph, Node, Shape
from yolo.program.node_steps import PLAIN_CHANNELS, activated, add_step, consecutive, convolution, offsets
from yolo.program.plan import Attribute, Plan
from yolo.program.plan_builder import BufferView, PlanBuilder
from yolo.program.target import Target

ALIGNMENT = {"blocked": 64, "nhwc": 256}
"""Of buffers, in bytes, by the maps' layout."""


def plan_inference(graph: Graph, shape: Shape, target: Target, *, exact: bool = False) -> Plan:
    """The plan for images uint8 of this shape, ``[B, C, H, W]``; heads are float32 ``[B, C, h, w]`` a level.

    ``graph`` went through ``passes.optimise``. On a CPU the images of a batch go through one after the other, so that
    the channels of one image are dense and values are joined without copies (``CompiledNetwork`` has them go side by
    side). Where all channels
    of a pixel lie together any part of them is a view, and the batch goes through at once. ``exact``: all convolutions
    are direct. Raises ValueError, which names the step, for a size at which nothing is left.
    """
    return _Planner(graph, shape, target, exact).plan()


class _Planner:
    """Carries one plan: where every value lies, and the steps so far."""

    def __init__(self, graph: Graph, shape: Shape, target: Target, exact: bool) -> None:
        self.graph, self.shape, self.target, self.exact = graph, shape, target, exact
        self.sizes = graph.sizes(*shape[2:])
        self.per_image = target.layout == "blocked"
        self.builder = PlanBuilder(target, 1 if self.per_image else shape[0], ALIGNMENT[target.layout])
        self.placement = place(graph, self.sizes, target)
        self.images: dict[str, BufferView] = {}

    def plan(self) -> Plan:
        for node in self.graph.nodes:
            if INPUT in node.inputs:
                self._load(self._layout(node))
        for node in self.graph.nodes:
            _emit(node, self)
        for number, value in enumerate(self.graph.outputs):
            self.builder.forward("store_head", f"output {value}", {"source": self.view(value)}, number=number)
        return self.builder.build(self.shape, self.graph.head_shapes(self.shape), per_image=self.per_image)

    def view(self, value: int, reader: Node | None = None) -> BufferView:
        """Where a value lies; the images, for one of their readers."""
        return self.images[self._layout(reader)] if value == INPUT else self.placement.views[value]

    def _load(self, layout: str) -> None:
        if layout in self.images:
            return
        bytes_ = INPUT in self.graph.scales
        element = 1 if bytes_ else self.target.element
        target = self.builder.buffer(self.graph.channels[INPUT], self.sizes[INPUT], element, layout)
        self.images[layout] = target
        whole = self.graph.whole_pixels or bytes_
        self.builder.forward("load_images", "input", {"target": target}, divisor=1.0 if whole else 255.0)

    def _layout(self, reader: Node) -> str:
        """Of the images for one of their readers."""
        if INPUT in self.graph.scales:
            return "nhwc"
        if self.target.layout != "blocked":
            return self.target.layout
        few = self.graph.channels[INPUT] <= PLAIN_CHANNELS
        plain = (isinstance(reader, ir.Conv) and few and reader.groups == 1) or isinstance(reader, ir.SpaceToDepth)
        return "nchw" if plain else "blocked"

    def algorithm(self, node: ir.Conv) -> str:
        """Of a convolution."""
        channels = self.graph.channels[node.inputs[0]], self.graph.channels[node.output]
        if is_int8(node, self.graph):
            return int8_algorithm(node, channels, self.target)
        return DIRECT if self.exact else algorithm(node, channels, self.sizes[node.output], self.target)

    def scale(self, role: str, value: int | None) -> dict[str, Attribute]:
        """What the bytes of a value stand for, as attributes; none for floats."""
        found = self.graph.scales.get(value)
        return {} if found is None else {f"{role}_step": found.step, f"{role}_zero": found.zero}

    def copy(self, where: str, source: BufferView, start: int, target: BufferView, at: int, count: int) -> None:
        """``count`` channels of ``source`` from ``start`` to those of ``target`` from ``at``."""
        block = self.target.block
        if source.buffer.layout != self.target.layout:
            views = {"source": source, "target": target}
            self.builder.forward("copy_bytes", where, views, source_first=start, target_first=at, count=count)
        elif at % block == 0 and (count % block == 0 or at + count == target.channels):
            views = {"fine": source, "coarse": target.part(at, count)}
            self.builder.forward("gather", where, views, index=consecutive(start, count), stride=1)
        else:
            first = at // block * block
            views = {"fine": target.part(first, at + count - first), "coarse": source}
            self.builder.forward("scatter", where, views, index=consecutive(at - first, count), stride=1, clear=False)


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
        algorithm=planner.algorithm(node),
    )


@_emit.register
def _(node: ir.Concat, planner: _Planner) -> None:
    channels, target = planner.graph.channels, planner.view(node.output)
    for position, (value, start) in enumerate(zip(node.inputs, offsets(node, channels))):
        if (node.output, position) in planner.placement.copies:
            planner.copy(node.where, planner.view(value, node), 0, target, start, channels[value])


@_emit.register
def _(node: ir.Split, planner: _Planner) -> None:
    if (node.output, 0) in planner.placement.copies:
        source = planner.view(node.inputs[0], node)
        planner.copy(node.where, source, node.start, planner.view(node.output), 0, node.count)


@_emit.register(ir.BatchNorm)
@_emit.register(ir.Activate)
@_emit.register(ir.Add)
def _(node: ir.BatchNorm | ir.Activate | ir.Add, planner: _Planner) -> None:
    source, *residual = (planner.view(value, node) for value in node.inputs)
    views = {"source": source, "targets": planner.view(node.output), "residual": residual}
    attributes = activated(node.activation if isinstance(node, ir.Activate) else IDENTITY)
    constants = {"constants": node.weights} if isinstance(node, ir.BatchNorm) else {}
    planner.builder.forward("norm_act_add", node.where, views, **attributes, **constants)


@_emit.register(ir.Quantise)
@_emit.register(ir.Dequantise)
def _(node: ir.Quantise | ir.Dequantise, planner: _Planner) -> None:
    (value,) = node.inputs
    views = {"source": planner.view(value, node), "target": planner.view(node.output)}
    bytes_ = node.output if isinstance(node, ir.Quantise) else value
    planner.builder.forward(node.kind, node.where, views, **planner.scale("scale", bytes_))
