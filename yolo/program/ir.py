"""The intermediate representation: values and the nodes that make them, in an order in which they can run.

A value is a feature map; it is named by a number. Its channels are fixed, its height and width follow from the input's
(``sizes``), so that one graph serves every input shape.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np

from yolo.models.activation import IDENTITY, Activation
from yolo.program.scales import Scale

Pair = tuple[int, int]
Size = tuple[int, int]
Shape = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Node:
    """One operation. ``inputs`` and ``output`` name values; ``where`` is the module's place in the network."""

    inputs: tuple[int, ...]
    output: int
    where: str

    kind: ClassVar[str]

    def __init_subclass__(cls, kind: str) -> None:
        cls.kind = kind

    def channels(self, given: tuple[int, ...]) -> int:
        """Channels of the output, from those of the inputs."""
        return given[0]

    def size(self, given: tuple[Size, ...]) -> Size:
        """(height, width) of the output, from those of the inputs."""
        return given[0]

    def attributes(self) -> Iterator[tuple[str, object]]:
        """What the node is besides its inputs and output, human-readable."""
        for field in dataclasses.fields(self):
            if field.name not in ("inputs", "output", "where"):
                yield field.name, getattr(self, field.name)


@dataclasses.dataclass(frozen=True)
class Conv(Node, kind="conv"):
    """Convolution; with ``transposed`` its transpose. Weights lie in the tensors ``<weights>.weight`` and ``.bias``.

    ``activation`` and then the addition of ``residual`` (the second input) follow where a pass has fused them.
    """

    weights: str
    out_channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = False
    transposed: bool = False
    output_padding: int = 0
    activation: Activation = IDENTITY

    @property
    def residual(self) -> int | None:
        """The value that is added after the activation."""
        return self.inputs[1] if len(self.inputs) > 1 else None

    def channels(self, given: tuple[int, ...]) -> int:
        return self.out_channels

    def size(self, given: tuple[Size, ...]) -> Size:
        return tuple(self._side(side, axis) for axis, side in enumerate(given[0]))

    def _side(self, side: int, axis: int) -> int:
        k, s, p, d = (values[axis] for values in (self.kernel, self.stride, self.padding, self.dilation))
        if self.transposed:
            return (side - 1) * s - 2 * p + d * (k - 1) + 1 + self.output_padding
        return (side + 2 * p - d * (k - 1) - 1) // s + 1


@dataclasses.dataclass(frozen=True)
class BatchNorm(Node, kind="batch_norm"):
    """Batch norm; its tensors are ``<weights>.weight``, ``.bias``, ``.running_mean`` and ``.running_var``."""

    weights: str


@dataclasses.dataclass(frozen=True)
class Activate(Node, kind="activate"):
    """An activation of its own."""

    activation: Activation


@dataclasses.dataclass(frozen=True)
class Add(Node, kind="add"):
    """The sum of two values of one shape."""


@dataclasses.dataclass(frozen=True)
class Concat(Node, kind="concat"):
    """Values side by side along the channels."""

    def channels(self, given: tuple[int, ...]) -> int:
        return sum(given)


@dataclasses.dataclass(frozen=True)
class Split(Node, kind="split"):
    """Some channels of a value: ``count`` from ``start``. Passes make it; it costs nothing where channels align."""

    start: int
    count: int

    def channels(self, given: tuple[int, ...]) -> int:
        return self.count


@dataclasses.dataclass(frozen=True)
class Pool(Node, kind="pool"):
    """Max pool, or average pool (padding counted), of square windows."""

    kernel: int
    stride: int
    padding: int
    average: bool = False

    def size(self, given: tuple[Size, ...]) -> Size:
        height, width = ((side + 2 * self.padding - self.kernel) // self.stride + 1 for side in given[0])
        return height, width


@dataclasses.dataclass(frozen=True)
class Upsample(Node, kind="upsample"):
    """Nearest-neighbour upsampling by a whole factor."""

    scale: int

    def size(self, given: tuple[Size, ...]) -> Size:
        return given[0][0] * self.scale, given[0][1] * self.scale


@dataclasses.dataclass(frozen=True)
class Bilinear(Upsample, kind="bilinear"):
    """Bilinear upsampling by a whole factor; corners are not aligned."""


@dataclasses.dataclass(frozen=True)
class Pad(Node, kind="pad"):
    """Zeros around a value: left, right, top, bottom."""

    sides: tuple[int, int, int, int]

    def size(self, given: tuple[Size, ...]) -> Size:
        left, right, top, bottom = self.sides
        return given[0][0] + top + bottom, given[0][1] + left + right


@dataclasses.dataclass(frozen=True)
class SpaceToDepth(Node, kind="space_to_depth"):
    """Cells of gain x gain become channels: block (dy, dx) holds rows dy::gain and columns dx::gain.

    ``column_major`` says whether the blocks' order is dx first (Focus) or dy first (Contract).
    """

    gain: int
    column_major: bool

    def channels(self, given: tuple[int, ...]) -> int:
        return given[0] * self.gain**2

    def size(self, given: tuple[Size, ...]) -> Size:
        return given[0][0] // self.gain, given[0][1] // self.gain


@dataclasses.dataclass(frozen=True)
class DepthToSpace(Node, kind="depth_to_space"):
    """The inverse of a row-major SpaceToDepth (Expand)."""

    gain: int

    def channels(self, given: tuple[int, ...]) -> int:
        return given[0] // self.gain**2

    def size(self, given: tuple[Size, ...]) -> Size:
        return given[0][0] * self.gain, given[0][1] * self.gain


@dataclasses.dataclass(frozen=True)
class Attention(Node, kind="attention"):
    """Scaled dot-product attention over cells: inputs query, key, value; channels are ``heads`` groups in a row."""

    heads: int


@dataclasses.dataclass(frozen=True)
class Quantise(Node, kind="quantise"):
    """Floats as bytes of the output's scale."""


@dataclasses.dataclass(frozen=True)
class Dequantise(Node, kind="dequantise"):
    """Bytes as the floats that they stand for."""


INPUT = 0
"""The value of the images."""
MOST_SIDE = 1 << 22
"""Cells that a map can have in a row or column (csrc/program/common/kinds.h)."""


@dataclasses.dataclass(frozen=True)
class Part:
    """Of a tensor that stacks equal parts along its first axis, the ``number``-th."""

    tensor: str
    number: int


@dataclasses.dataclass(frozen=True)
class Graph:
    """A network: nodes in order, the values that come out of it, and its tensors by name.

    ``channels`` has one entry a value. The input is images in 0..1, or in whole numbers 0..255 with
    ``whole_pixels``. ``parts``: tensors that are parts of the network's own, by their names. Values in ``scales`` are
    bytes, the others floats. Graphs are not changed; passes give new ones.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    channels: tuple[int, ...]
    tensors: Mapping[str, np.ndarray]
    whole_pixels: bool = False
    parts: Mapping[str, Part] = dataclasses.field(default_factory=dict)
    scales: Mapping[int, Scale] = dataclasses.field(default_factory=dict)

    def sizes(self, height: int, width: int) -> dict[int, Size]:
        """(height, width) of every value for images of that size.

        Raises ValueError where nothing is left, where a side is longer than any map's, and where values of different
        sizes meet: images whose size is not a multiple of the stride.
        """
        sizes: dict[int, Size] = {INPUT: (height, width)}
        for node in self.nodes:
            given = tuple(sizes[value] for value in node.inputs)
            size = node.size(given)
            if min(size) < 1:
                raise ValueError(f"{node.where}: nothing is left of images of {height}x{width}")
            if max(size) > MOST_SIDE:
                raise ValueError(f"{node.where}: a map of {size[0]}x{size[1]} is larger than any")
            meet = (*given[1:], size if node.kind == "conv" else given[0])
            if len(set(meet)) > 1:
                sides = " and ".join(f"{high}x{wide}" for high, wide in sorted(set(meet)))
                raise ValueError(f"{node.where}: of images of {height}x{width} it joins maps of {sides}")
            sizes[node.output] = size
        return sizes

    def head_shapes(self, images: Shape) -> list[Shape]:
        """Shapes of the outputs for images of this shape; raises as ``sizes`` does."""
        sizes = self.sizes(*images[2:])
        return [(images[0], self.channels[value], *sizes[value]) for value in self.outputs]

    def products(self, conv: Conv, sizes: Mapping[int, Size]) -> int:
        """Multiplications of a convolution for one image."""
        each = self.channels[conv.inputs[0]] // conv.groups * math.prod(conv.kernel)
        return each * conv.out_channels * math.prod(sizes[conv.inputs[0] if conv.transposed else conv.output])

    @functools.cached_property
    def consumers(self) -> Mapping[int, list[Node]]:
        """The nodes that read each value."""
        found: dict[int, list[Node]] = {value: [] for value in range(len(self.channels))}
        for node in self.nodes:
            for value in node.inputs:
                found[value].append(node)
        return found

    def only_consumer(self, value: int) -> Node | None:
        """The one node that reads ``value``, or None where several do or the value comes out of the graph."""
        readers = self.consumers[value]
        return readers[0] if len(readers) == 1 and value not in self.outputs else None

    def producers(self) -> dict[int, Node]:
        """The node that makes each value but the input."""
        return {node.output: node for node in self.nodes}
