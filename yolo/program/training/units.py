"""From nodes to units of work: sibling convolutions in one, and batch norm, activation and sum in one stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

from yolo.models.activation import IDENTITY, Activation
from yolo.program import ir
from yolo.program.ir import INPUT, Graph, Node, Size


@dataclasses.dataclass(frozen=True)
class Convolutions:
    """Convolutions of one value that run as one: their outputs lie side by side. Mostly it is a single one."""

    nodes: tuple[ir.Conv, ...]
    outputs: tuple[int, ...]
    bias: bool

    @property
    def source(self) -> int:
        return self.nodes[0].inputs[0]

    @property
    def where(self) -> str:
        return self.nodes[0].where


@dataclasses.dataclass(frozen=True)
class Stage:
    """output = activation(norm(source)) + residual. ``norm`` names the tensors of a batch norm.

    ``bias`` is the tensor that is added instead of a norm (a transposed convolution's, which has none of its own).
    """

    source: int
    output: int
    where: str
    norm: str | None = None
    bias: str | None = None
    activation: Activation = IDENTITY
    residual: int | None = None


Unit = Convolutions | Stage | Node


@dataclasses.dataclass(frozen=True)
class Work:
    """Units in the order of execution; ``channels`` and ``sizes`` of all values, hidden ones too.

    ``parts``: as in a Graph.
    """

    units: tuple[Unit, ...]
    channels: Mapping[int, int]
    sizes: Mapping[int, Size]
    outputs: tuple[int, ...]
    parts: Mapping[str, ir.Part]

    def inputs(self, unit: Unit) -> tuple[int, ...]:
        """The values that a unit reads."""
        if isinstance(unit, Stage):
            return (unit.source,) if unit.residual is None else (unit.source, unit.residual)
        return (unit.source,) if isinstance(unit, Convolutions) else unit.inputs

    def made(self, unit: Unit) -> tuple[int, ...]:
        """The values that a unit gives."""
        return unit.outputs if isinstance(unit, Convolutions) else (unit.output,)

    def consumers(self) -> dict[int, list[Unit]]:
        """The units that read each value."""
        found: dict[int, list[Unit]] = {value: [] for value in self.channels}
        for unit in self.units:
            for value in self.inputs(unit):
                found[value].append(unit)
        return found

    def differentiable(self, frozen: Collection[str] = ()) -> set[int]:
        """Values on whose way from the pictures there are parameters that are not ``frozen``."""
        found: set[int] = set()
        for unit in self.units:
            names = [self.parts[name].tensor if name in self.parts else name for name in _parameters(unit)]
            learns = any(name not in frozen for name in names)
            if learns or any(value in found for value in self.inputs(unit)):
                found.update(self.made(unit))
        return found


def _parameters(unit: Unit) -> list[str]:
    """One parameter of each layer in a unit."""
    if isinstance(unit, Convolutions):
        return [f"{node.weights}.weight" for node in unit.nodes]
    if isinstance(unit, Stage) and (unit.norm or unit.bias):
        return [f"{unit.norm}.weight" if unit.norm else str(unit.bias)]
    return []


def group(graph: Graph, height: int, width: int, block: int) -> Work:
    """The units of a training graph for pictures of this size; ``block`` channels lie together."""
    return _Grouping(graph, height, width, block).work()


class _Grouping:
    def __init__(self, graph: Graph, height: int, width: int, block: int) -> None:
        self.graph, self.block = graph, block
        self.consumers, self.producers = graph.consumers(), graph.producers()
        self.channels = dict(enumerate(graph.channels))
        self.sizes = graph.sizes(height, width)
        self.order = {node.output: number for number, node in enumerate(graph.nodes)}
        self.alive = self._alive()
        self.done: set[int] = set()
        self.units: list[Unit] = []

    def work(self) -> Work:
        last = self._chains()
        for node in self.graph.nodes:
            if isinstance(node, ir.Conv):
                self._convolutions(node)
            elif node.output in last:
                self.units.append(last[node.output])
            elif not isinstance(node, (ir.BatchNorm, ir.Activate, ir.Add)):
                self.units.append(node)
        return Work(tuple(self.units), self.channels, self.sizes, self.graph.outputs, self.graph.parts)

    def _alive(self) -> set[int]:
        found = set(self.graph.outputs)
        for node in reversed(self.graph.nodes):
            if node.output in found:
                found.update(node.inputs)
        return found

    def _only_consumer(self, value: int) -> Node | None:
        """The one node that reads a value, which nothing else needs."""
        readers = self.consumers[value]
        return readers[0] if len(readers) == 1 and value not in self.graph.outputs else None

    def _chains(self) -> dict[int, Stage]:
        """All stages by the last of their values; each takes in what follows it while nothing else reads it."""
        taken: set[int] = set()
        stages: dict[int, Stage] = {}
        for node in self.graph.nodes:
            if node.output in taken or not isinstance(node, (ir.BatchNorm, ir.Activate)):
                continue
            stage = Stage(node.inputs[0], node.output, node.where)
            stage = self._take(stage, node, taken)
            stages[stage.output] = stage
        for node in self.graph.nodes:
            if isinstance(node, ir.Add) and node.output not in taken:
                first, second = node.inputs
                stages[node.output] = Stage(first, node.output, node.where, residual=second)
        return stages

    def _take(self, stage: Stage, node: Node, taken: set[int]) -> Stage:
        follower: Node | None = node
        while follower is not None and follower.output not in taken:
            if isinstance(follower, ir.BatchNorm) and follower is node:
                stage = dataclasses.replace(stage, norm=follower.weights)
            elif isinstance(follower, ir.Activate) and stage.activation == IDENTITY:
                stage = dataclasses.replace(stage, activation=follower.activation)
            elif isinstance(follower, ir.Add) and follower.inputs[0] != follower.inputs[1]:
                other = next(value for value in follower.inputs if value != stage.output)
                taken.add(follower.output)
                return dataclasses.replace(stage, output=follower.output, residual=other)
            else:
                break
            taken.add(follower.output)
            stage = dataclasses.replace(stage, output=follower.output)
            follower = self._only_consumer(follower.output)
        return stage

    def _convolutions(self, node: ir.Conv) -> None:
        if node.output in self.done:
            return
        if node.transposed and node.bias:
            hidden = len(self.channels)
            self.channels[hidden], self.sizes[hidden] = node.out_channels, self.sizes[node.output]
            self.units.append(Convolutions((node,), (hidden,), bias=False))
            self.units.append(Stage(hidden, node.output, node.where, bias=f"{node.weights}.bias"))
            return
        nodes = self._siblings(node)
        self.done.update(each.output for each in nodes)
        self.units.append(Convolutions(nodes, tuple(each.output for each in nodes), node.bias))

    def _siblings(self, node: ir.Conv) -> tuple[ir.Conv, ...]:
        """Convolutions that may run as one with this: alike, of whole blocks, each followed by a batch norm only."""
        if not self._mergeable(node):
            return (node,)
        alike = ("kernel", "stride", "padding", "dilation")
        return tuple(
            other
            for other in self.consumers[node.inputs[0]]
            if isinstance(other, ir.Conv)
            and self._mergeable(other)
            and all(getattr(other, name) == getattr(node, name) for name in alike)
        )

    def _mergeable(self, node: ir.Conv) -> bool:
        plain = node.groups == 1 and not node.transposed and not node.bias and node.inputs[0] != INPUT
        whole = node.out_channels % self.block == 0 and node.output in self.alive
        return plain and whole and isinstance(self._only_consumer(node.output), ir.BatchNorm)
