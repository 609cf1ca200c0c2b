"""From an optimised graph to an executor for one picture size."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from yolo.program import ir
from yolo.program._native import native
from yolo.program.inference.placement import Placement, lifetimes, pack, place
from yolo.program.ir import INPUT, Graph, Node, Size

# A convolution reads the plain picture itself when it has this few channels; blocks would be mostly zeros.
PLAIN_CHANNELS = 4


def build_program(
    graph: Graph, weights: native.Weights, size: Size, *, batch: int = 1, threads: int = 0, bf16: bool = False
) -> native.InferenceProgram:
    """An executor for uint8 ``[batch, channels, height, width]``, giving float32 ``[batch, C, h, w]`` a level.

    ``graph`` went through ``passes.optimise``; ``weights`` come from ``pack_weights`` and may be shared. ``threads``
    of 0 takes one for each core. Raises ValueError for a size at which nothing is left, and RuntimeError where oneDNN
    has only a reference kernel.
    """
    return _Planner(graph, weights, size, batch, threads or native.default_threads(), bf16).build()


def pack_weights(graph: Graph, weights: native.Weights | None = None) -> native.Weights:
    """The constants of a graph for its executors; those of an equal graph are replaced where ``weights`` is given."""
    weights = weights or native.Weights()
    for node in graph.nodes:
        if isinstance(node, ir.Conv):
            weights.set(f"{node.weights}.weight", _grouped(graph.tensors[f"{node.weights}.weight"], node))
            if node.bias:
                weights.set(f"{node.weights}.bias", graph.tensors[f"{node.weights}.bias"])
        elif isinstance(node, ir.BatchNorm):
            for part in ("scale", "shift"):
                weights.set(f"{node.weights}.{part}", graph.tensors[f"{node.weights}.{part}"])
    return weights


def _grouped(weight: np.ndarray, node: ir.Conv) -> np.ndarray:
    """Weights as [out, in, kh, kw], or [groups, out, in, kh, kw]."""
    weight = np.ascontiguousarray(weight, np.float32)
    if node.transposed:
        weight = weight.reshape(node.groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    elif node.groups > 1:
        weight = weight.reshape(node.groups, -1, *weight.shape[1:])
    return np.ascontiguousarray(weight[0] if node.transposed and node.groups == 1 else weight)


class _Planner:
    """Carries one build: sizes, places, and the executor that grows."""

    def __init__(self, graph: Graph, weights: native.Weights, size: Size, batch: int, threads: int, bf16: bool) -> None:
        self.graph, self.sizes, self.bf16 = graph, graph.sizes(*size), bf16
        self.placement = place(graph, native.channel_block())
        self.heads = {value for value in graph.outputs}
        self.blocked_input = any(INPUT in node.inputs and not self._reads_plain(node) for node in graph.nodes)
        offsets, arena = self._memory()
        self.offsets = offsets
        self.program = native.InferenceProgram(weights, arena, batch, threads, bf16)

    def build(self) -> native.InferenceProgram:
        height, width = self.sizes[INPUT]
        picture = native.View(self.offsets["picture"], self.graph.channels[INPUT], height, width, True)
        self.program.input(picture, not self.graph.whole_pixels)
        if self.blocked_input:
            blocked = native.View(self.offsets["blocked"], self.graph.channels[INPUT], height, width)
            self.program.copy("input", picture, 0, blocked, 0, self.graph.channels[INPUT])
        for node in self.graph.nodes:
            _EMIT[type(node)](self, node)
        for value in self.graph.outputs:
            self.program.output(self.view(value))
        self.program.finish()
        return self.program

    def view(self, value: int, plain: bool = False) -> native.View:
        """Where a value lies."""
        channels, (height, width) = self.graph.channels[value], self.sizes[value]
        if value == INPUT:
            return native.View(self.offsets["picture" if plain else "blocked"], channels, height, width, plain)
        offset = self.offsets[self.placement.slab[value]]
        offset += self.placement.start[value] * height * width * self._element(value)
        return native.View(offset, channels, height, width)

    def _reads_plain(self, node: Node) -> bool:
        few = self.graph.channels[INPUT] <= PLAIN_CHANNELS
        return (isinstance(node, ir.Conv) and few and node.groups == 1) or isinstance(node, ir.SpaceToDepth)

    def _element(self, value: int) -> int:
        """Bytes of an element; what comes out of the network is float32 always."""
        return 2 if self.bf16 and value not in self.heads else 4

    def _memory(self) -> tuple[Mapping[int | str, int], int]:
        steps = {node.output: number + 1 for number, node in enumerate(self.graph.nodes)}
        last = len(self.graph.nodes) + 1
        spans = lifetimes(self.graph, self.placement, steps, last)
        sizes = self._slab_sizes(self.placement)
        height, width = self.sizes[INPUT]
        reads = max(steps[node.output] for node in self.graph.nodes if INPUT in node.inputs)
        element, block = 2 if self.bf16 else 4, native.channel_block()
        blocked = -(-self.graph.channels[INPUT] // block) * block
        extra = {"picture": self.graph.channels[INPUT], "blocked": blocked if self.blocked_input else 0}
        for channels in extra.values():
            spans.append((0, reads))
            sizes.append(channels * height * width * element)
        offsets, arena = pack(spans, sizes)
        names: list[int | str] = [*range(len(self.placement.widths)), *extra]
        return dict(zip(names, offsets)), arena

    def _slab_sizes(self, placement: Placement) -> list[int]:
        sizes = [0] * len(placement.widths)
        for value, slab in placement.slab.items():
            height, width = self.sizes[value]
            sizes[slab] = max(sizes[slab], placement.widths[slab] * height * width * self._element(value))
        return sizes

    def conv(self, node: ir.Conv) -> None:
        residual = None if node.residual is None else self.view(node.residual)
        self.program.conv(
            node.where,
            self.view(node.inputs[0], self._reads_plain(node)),
            self.view(node.output),
            node.weights,
            bias=node.bias,
            kernel=node.kernel,
            stride=node.stride,
            padding=node.padding,
            dilation=node.dilation,
            groups=node.groups,
            transposed=node.transposed,
            activation=node.activation.name,
            value=node.activation.value or 0.0,
            residual=residual,
            float_output=node.output in self.heads,
        )

    def concat(self, node: ir.Concat) -> None:
        start = 0
        for position, value in enumerate(node.inputs):
            count = self.graph.channels[value]
            if (node.output, position) in self.placement.copies:
                self.program.copy(node.where, self.view(value), 0, self.view(node.output), start, count)
            start += count

    def split(self, node: ir.Split) -> None:
        if node.output in self.placement.split_copies:
            source, target = self.view(node.inputs[0]), self.view(node.output)
            self.program.copy(node.where, source, node.start, target, 0, node.count)

    def moved(self, node: Node) -> tuple[str, native.View, native.View]:
        """What every step with one input and one output begins with."""
        plain = node.inputs[0] == INPUT and self._reads_plain(node)
        return node.where, self.view(node.inputs[0], plain), self.view(node.output)


_EMIT: Mapping[type[Node], Callable[[_Planner, Node], None]] = {
    ir.Conv: _Planner.conv,
    ir.Concat: _Planner.concat,
    ir.Split: _Planner.split,
    ir.BatchNorm: lambda p, n: p.program.affine(*p.moved(n), n.weights),
    ir.Activate: lambda p, n: p.program.activate(*p.moved(n), n.activation.name, n.activation.value or 0.0),
    ir.Add: lambda p, n: p.program.add(n.where, p.view(n.inputs[0]), p.view(n.inputs[1]), p.view(n.output)),
    ir.Attention: lambda p, n: p.program.attention(
        n.where, *(p.view(value) for value in n.inputs), p.view(n.output), n.heads
    ),
    ir.Pool: lambda p, n: p.program.pool(*p.moved(n), n.kernel, n.stride, n.padding, n.average),
    ir.Upsample: lambda p, n: p.program.upsample(*p.moved(n), n.scale),
    ir.Bilinear: lambda p, n: p.program.bilinear(*p.moved(n), n.scale),
    ir.Pad: lambda p, n: p.program.pad(*p.moved(n), n.sides[0], n.sides[2]),
    ir.SpaceToDepth: lambda p, n: p.program.space_to_depth(*p.moved(n), n.gain, n.column_major),
    ir.DepthToSpace: lambda p, n: p.program.depth_to_space(*p.moved(n), n.gain),
}
