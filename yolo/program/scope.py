"""A place in the network that is being lowered."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from yolo.models.activation import IDENTITY, Activation
from yolo.program import ir
from yolo.program.builder import GraphBuilder

Pair = tuple[int, int]


@dataclasses.dataclass
class Derived:
    """Tensors that are made of the network's own on the way, and what parts of those they are."""

    tensors: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    parts: dict[str, ir.Part] = dataclasses.field(default_factory=dict)


class Scope:
    """A place in the network and what is the same everywhere in it: ``tensors`` is the network's state."""

    def __init__(
        self, builder: GraphBuilder, activation: Activation, tensors: Mapping[str, np.ndarray], path: str
    ) -> None:
        self.builder, self.activation, self.tensors, self.path = builder, activation, tensors, path
        self.derived = Derived()

    def at(self, path: str) -> Scope:
        """The same at another place."""
        scope = Scope(self.builder, self.activation, self.tensors, path)
        scope.derived = self.derived
        return scope

    def __truediv__(self, name: str | int) -> Scope:
        return self.at(f"{self.path}.{name}")

    def add(self, kind: type[ir.Node], *inputs: int, **attributes: object) -> int:
        return self.builder.add(kind, *inputs, where=self.path, **attributes)

    def channels(self, value: int) -> int:
        return self.builder.channels(value)

    def bare_conv(self, x: int, out: int, path: str, k: object = 1, s: object = 1, **others: object) -> int:
        """A convolution alone."""
        kernel, stride = pair(k), pair(s)
        return self.builder.add(
            ir.Conv, x, where=path, weights=path, out_channels=out, kernel=kernel, stride=stride, **others
        )

    def norm_act(self, x: int, activation: Activation) -> int:
        """Batch norm and activation."""
        return self.act(self.add(ir.BatchNorm, x, weights=f"{self.path}.bn"), activation)

    def act(self, x: int, activation: Activation) -> int:
        """The activation, where there is one."""
        return x if activation == IDENTITY else self.add(ir.Activate, x, activation=activation)


def pair(value: object) -> Pair:
    return (value[0], value[1]) if isinstance(value, tuple) else (value, value)
