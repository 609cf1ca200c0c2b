"""Graphs, node by node, each at its place in the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from yolo.models.activation import IDENTITY, Activation
from yolo.program import ir
from yolo.program.ir import Graph, Node, Pair, Part


class GraphBuilder:
    """Collects nodes; values are numbered as they come.

    ``tensors``: those that are made of the network's own on the way, and ``parts`` what parts of those they are.
    """

    def __init__(self, channels: int) -> None:
        self._nodes: list[Node] = []
        self._channels: list[int] = [channels]
        self.tensors: dict[str, np.ndarray] = {}
        self.parts: dict[str, Part] = {}

    def channels(self, value: int) -> int:
        """Channels of a value."""
        return self._channels[value]

    def add(self, kind: type[Node], *inputs: int, where: str, **attributes: object) -> int:
        """Append a node of this kind; give its output."""
        output = len(self._channels)
        node = kind(inputs, output, where, **attributes)
        self._nodes.append(node)
        self._channels.append(node.channels(tuple(self._channels[value] for value in inputs)))
        return output

    def build(self, outputs: tuple[int, ...], tensors: Mapping[str, np.ndarray]) -> Graph:
        """The graph that gives ``outputs``; ``tensors``: the network's own."""
        tensors = {**tensors, **self.tensors}
        return Graph(tuple(self._nodes), outputs, tuple(self._channels), tensors, parts=self.parts)


@dataclasses.dataclass(frozen=True)
class Scope:
    """A place in the network and what is the same everywhere in it: ``tensors`` is the network's state."""

    builder: GraphBuilder
    activation: Activation
    tensors: Mapping[str, np.ndarray]
    path: str

    def at(self, path: str) -> Scope:
        """The same at another place."""
        return dataclasses.replace(self, path=path)

    def __truediv__(self, name: str | int) -> Scope:
        return self.at(f"{self.path}.{name}")

    def add(self, kind: type[Node], *inputs: int, **attributes: object) -> int:
        return self.builder.add(kind, *inputs, where=self.path, **attributes)

    def channels(self, value: int) -> int:
        return self.builder.channels(value)

    def bare_conv(self, x: int, out: int, k: object = 1, s: object = 1, **others: object) -> int:
        """A convolution alone, whose weights have the name of the place."""
        kernel, stride = pair(k), pair(s)
        return self.add(ir.Conv, x, weights=self.path, out_channels=out, kernel=kernel, stride=stride, **others)

    def norm_act(self, x: int, activation: Activation) -> int:
        """Batch norm and activation."""
        return self.act(self.add(ir.BatchNorm, x, weights=f"{self.path}.bn"), activation)

    def act(self, x: int, activation: Activation) -> int:
        """The activation, where there is one."""
        return x if activation == IDENTITY else self.add(ir.Activate, x, activation=activation)


def pair(value: object) -> Pair:
    return (value[0], value[1]) if isinstance(value, tuple) else (value, value)
