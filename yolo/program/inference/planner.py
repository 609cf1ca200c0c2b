"""From an optimised graph to an executor for one picture size."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from yolo.io.memory import free_memory
from yolo.program import ir
from yolo.program._native import native
from yolo.program.inference.placement import Placement, lifetimes, pack, place
from yolo.program.int8.rules import is_int8
from yolo.program.int8.weights import corrected_bias, quantised_weight
from yolo.program.ir import INPUT, Graph, Node, Size

# A convolution reads the plain picture itself when it has this few channels; blocks would be mostly zeros.
PLAIN_CHANNELS = 4
MOST_WORK = 1e15
"""Operations an image: a thousand times those of YOLOv5x6 at 1280 pixels."""


def build_program(
    graph: Graph, weights: native.Weights, size: Size, *, batch: int = 1, threads: int = 0, bf16: bool = False
) -> native.InferenceProgram:
    """An executor for uint8 ``[batch, channels, height, width]``, giving float32 ``[batch, C, h, w]`` a level.

    ``graph`` went through ``passes.optimise``; ``weights`` come from ``pack_weights`` and may be shared. ``threads``
    of 0 takes one for each core. Raises ValueError, which names the step, for a size at which nothing is left,
    MemoryError where the machine has not as much free, and RuntimeError where oneDNN has only a reference kernel.
    """
    return _Planner(graph, weights, size, batch, threads or native.default_threads(), bf16).build()


def pack_weights(graph: Graph, weights: native.Weights | None = None) -> native.Weights:
    """The constants of a graph for its executors; those of an equal graph are replaced where ``weights`` is given."""
    weights = weights or native.Weights()
    for node in graph.nodes:
        if isinstance(node, ir.Conv):
            tensors = packed_conv(node, graph)
            weights.set(f"{node.weights}.weight", _grouped(tensors.pop("weight"), node))
            for part, values in tensors.items():
                weights.set(f"{node.weights}.{part}", values)
        elif isinstance(node, ir.BatchNorm):
            for part in ("scale", "shift"):
                weights.set(f"{node.weights}.{part}", graph.tensors[f"{node.weights}.{part}"])
    return weights


def packed_conv(node: ir.Conv, graph: Graph) -> dict[str, np.ndarray]:
    """The weight of a convolution and, where there are, its bias and the steps of its whole weights ("scale")."""
    parts = {name: graph.tensors.get(f"{node.weights}.{name}") for name in ("weight", "bias", "mean")}
    weight, bias, mean = parts["weight"], parts["bias"] if node.bias else None, parts["mean"]
    if is_int8(node, graph):
        whole, steps = quantised_weight(weight, native.weight_limit())
        if bias is not None and mean is not None:
            bias = corrected_bias(bias, weight, whole, steps, mean)
        found = {"weight": whole, "scale": steps}
    else:
        found = {"weight": weight}
    return found if bias is None else {**found, "bias": bias}


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
        self.last = graph.scales.keys() | {
            node.output for node in graph.nodes if isinstance(node, ir.Conv) and is_int8(node, graph)
        }
        self.blocked_input = INPUT not in self.last and any(
            INPUT in node.inputs and not self._reads_plain(node) for node in graph.nodes
        )
        offsets, arena = self._memory()
        self.offsets = offsets
        limits = native.Limits(free_memory(), MOST_WORK)
        if arena > limits.memory:
            needed, free = (round(number / 1e9, 1) for number in (arena, limits.memory))
            raise MemoryError(f"pictures of {size[0]}x{size[1]} need {needed} GB of memory, {free} GB are free")
        self.program = native.InferenceProgram(weights, arena, batch, threads, bf16, limits)

    def build(self) -> native.InferenceProgram:
        picture = self.view(INPUT, plain=True)
        self.program.input(picture, not self.graph.whole_pixels)
        if self.blocked_input:
            blocked = self.view(INPUT)
            self.program.copy("input", picture, 0, blocked, 0, self.graph.channels[INPUT])
        for node in self.graph.nodes:
            _EMIT[type(node)](self, node)
        for value in self.graph.outputs:
            self.program.output(self.view(value))
        self.program.finish()
        return self.program

    def view(self, value: int, plain: bool = False) -> native.View:
        """Where a value lies."""
        channels, (height, width), last = self.graph.channels[value], self.sizes[value], value in self.last
        if value == INPUT:
            name, plain = "picture" if plain or last else "blocked", plain and not last
            return native.View(self.offsets[name], channels, height, width, plain, last)
        offset = self.offsets[self.placement.slab[value]]
        offset += self.placement.start[value] * height * width * self._element(value)
        return native.View(offset, channels, height, width, False, last)

    def _reads_plain(self, node: Node) -> bool:
        few = self.graph.channels[INPUT] <= PLAIN_CHANNELS
        return (isinstance(node, ir.Conv) and few and node.groups == 1) or isinstance(node, ir.SpaceToDepth)

    def _element(self, value: int) -> int:
        """Bytes of an element; what comes out of the network is float32 always."""
        if value in self.graph.scales:
            return 1
        return 2 if self.bf16 and value not in self.heads else 4

    def _memory(self) -> tuple[Mapping[int | str, int], int]:
        steps = {node.output: number + 1 for number, node in enumerate(self.graph.nodes)}
        last = len(self.graph.nodes) + 1
        spans = lifetimes(self.graph, self.placement, steps, last)
        sizes = self._slab_sizes(self.placement)
        height, width = self.sizes[INPUT]
        reads = max(steps[node.output] for node in self.graph.nodes if INPUT in node.inputs)
        element, block = self._element(INPUT), native.channel_block()
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
            scales=self.scales(node),
        )

    def scales(self, node: ir.Conv) -> list[native.Scale] | None:
        """Of the input, output and residual of an int8 convolution; 1 where there is none."""
        if not is_int8(node, self.graph):
            return None
        return [self.scale(value) for value in (node.inputs[0], node.output, node.residual)]

    def scale(self, value: int | None) -> native.Scale:
        found = self.graph.scales.get(value)
        return native.Scale(1.0, 0) if found is None else native.Scale(found.step, found.zero)

    def concat(self, node: ir.Concat) -> None:
        start = 0
        for position, value in enumerate(node.inputs):
            count = self.graph.channels[value]
            if (node.output, position) in self.placement.copies:
                self.copy(node)(node.where, self.view(value), 0, self.view(node.output), start, count)
            start += count

    def split(self, node: ir.Split) -> None:
        if node.output in self.placement.split_copies:
            source, target = self.view(node.inputs[0]), self.view(node.output)
            self.copy(node)(node.where, source, node.start, target, 0, node.count)

    def copy(self, node: Node) -> Callable[..., None]:
        return self.program.copy_bytes if node.output in self.graph.scales else self.program.copy

    def upsample(self, node: ir.Upsample) -> None:
        bytes_ = node.output in self.graph.scales
        (self.program.upsample_bytes if bytes_ else self.program.upsample)(*self.moved(node), node.scale)

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
    ir.Bilinear: lambda p, n: p.program.bilinear(*p.moved(n), n.scale),
    ir.Upsample: _Planner.upsample,
    ir.Quantise: lambda p, n: p.program.quantise(*p.moved(n), p.scale(n.output)),
    ir.Dequantise: lambda p, n: p.program.dequantise(*p.moved(n), p.scale(n.inputs[0])),
    ir.Pad: lambda p, n: p.program.pad(*p.moved(n), n.sides[0], n.sides[2]),
    ir.SpaceToDepth: lambda p, n: p.program.space_to_depth(*p.moved(n), n.gain, n.column_major),
    ir.DepthToSpace: lambda p, n: p.program.depth_to_space(*p.moved(n), n.gain),
}
