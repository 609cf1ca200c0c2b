"""Nodes that run as one: sibling convolutions, and batch norm with activation and sum."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

from yolo.models.activation import IDENTITY, Activation
from yolo.program import ir
from yolo.program.ir import INPUT, Graph, Node, Size
from yolo.program.passes.merge import siblings


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
class NormActAdd:
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


FusedOp = Convolutions | NormActAdd | Node


@dataclasses.dataclass(frozen=True)
class FusedGraph:
    """Ops in the order of execution; ``channels`` and ``sizes`` of all values, hidden ones too.

    ``parts``: as in a Graph.
    """

    ops: tuple[FusedOp, ...]
    channels: Mapping[int, int]
    sizes: Mapping[int, Size]
    outputs: tuple[int, ...]
    parts: Mapping[str, ir.Part]

    def inputs(self, op: FusedOp) -> tuple[int, ...]:
        """The values that an op reads."""
        if isinstance(op, NormActAdd):
            return (op.source,) if op.residual is None else (op.source, op.residual)
        return (op.source,) if isinstance(op, Convolutions) else op.inputs

    def made(self, op: FusedOp) -> tuple[int, ...]:
        """The values that an op gives."""
        return op.outputs if isinstance(op, Convolutions) else (op.output,)

    def consumers(self) -> dict[int, list[FusedOp]]:
        """The ops that read each value."""
        found: dict[int, list[FusedOp]] = {value: [] for value in self.channels}
        for op in self.ops:
            for value in self.inputs(op):
                found[value].append(op)
        return found

    def differentiable(self, frozen: Collection[str] = ()) -> set[int]:
        """Values on whose way from the images there are parameters that are not ``frozen``."""
        found: set[int] = set()
        for op in self.ops:
            names = [self.parts[name].tensor if name in self.parts else name for name in _parameters(op)]
            learns = any(name not in frozen for name in names)
            if learns or any(value in found for value in self.inputs(op)):
                found.update(self.made(op))
        return found


def _parameters(op: FusedOp) -> list[str]:
    """One parameter of each layer in an op."""
    if isinstance(op, Convolutions):
        return [f"{node.weights}.weight" for node in op.nodes]
    if isinstance(op, NormActAdd) and (op.norm or op.bias):
        return [f"{op.norm}.weight" if op.norm else str(op.bias)]
    return []


def fuse(graph: Graph, height: int, width: int, block: int) -> FusedGraph:
    """The ops of a training graph for images of this size; ``block`` channels lie together."""
    return _Fusion(graph, height, width, block).fused()


class _Fusion:
    def __init__(self, graph: Graph, height: int, width: int, block: int) -> None:
        self.graph, self.block = graph, block
        self.channels = dict(enumerate(graph.channels))
        self.sizes = graph.sizes(height, width)
        self.alive = self._alive()
        self.families = {node.output: family for family in siblings(graph, self._mergeable) for node in family}
        self.done: set[int] = set()
        self.ops: list[FusedOp] = []

    def fused(self) -> FusedGraph:
        last = self._chains()
        for node in self.graph.nodes:
            if isinstance(node, ir.Conv):
                self._convolutions(node)
            elif node.output in last:
                self.ops.append(last[node.output])
            elif not isinstance(node, (ir.BatchNorm, ir.Activate, ir.Add)):
                self.ops.append(node)
        return FusedGraph(tuple(self.ops), self.channels, self.sizes, self.graph.outputs, self.graph.parts)

    def _alive(self) -> set[int]:
        found = set(self.graph.outputs)
        for node in reversed(self.graph.nodes):
            if node.output in found:
                found.update(node.inputs)
        return found

    def _chains(self) -> dict[int, NormActAdd]:
        """All chains by the last of their values; each takes in what follows it while nothing else reads it."""
        taken: set[int] = set()
        chains: dict[int, NormActAdd] = {}
        for node in self.graph.nodes:
            if node.output in taken or not isinstance(node, (ir.BatchNorm, ir.Activate)):
                continue
            chain = NormActAdd(node.inputs[0], node.output, node.where)
            chain = self._take(chain, node, taken)
            chains[chain.output] = chain
        for node in self.graph.nodes:
            if isinstance(node, ir.Add) and node.output not in taken:
                first, second = node.inputs
                chains[node.output] = NormActAdd(first, node.output, node.where, residual=second)
        return chains

    def _take(self, chain: NormActAdd, node: Node, taken: set[int]) -> NormActAdd:
        follower: Node | None = node
        while follower is not None and follower.output not in taken:
            if isinstance(follower, ir.BatchNorm) and follower is node:
                chain = dataclasses.replace(chain, norm=follower.weights)
            elif isinstance(follower, ir.Activate) and chain.activation == IDENTITY:
                chain = dataclasses.replace(chain, activation=follower.activation)
            elif isinstance(follower, ir.Add) and follower.inputs[0] != follower.inputs[1]:
                other = next(value for value in follower.inputs if value != chain.output)
                taken.add(follower.output)
                return dataclasses.replace(chain, output=follower.output, residual=other)
            else:
                break
            taken.add(follower.output)
            chain = dataclasses.replace(chain, output=follower.output)
            follower = self.graph.only_consumer(follower.output)
        return chain

    def _convolutions(self, node: ir.Conv) -> None:
        if node.output in self.done:
            return
        if node.transposed and node.bias:
            hidden = len(self.channels)
            self.channels[hidden], self.sizes[hidden] = node.out_channels, self.sizes[node.output]
            self.ops.append(Convolutions((node,), (hidden,), bias=False))
            self.ops.append(NormActAdd(hidden, node.output, node.where, bias=f"{node.weights}.bias"))
            return
        nodes = tuple(self.families.get(node.output, (node,)))
        self.done.update(each.output for each in nodes)
        self.ops.append(Convolutions(nodes, tuple(each.output for each in nodes), node.bias))

    def _mergeable(self, node: ir.Conv) -> bool:
        """Whether it may run as one with others like it: of whole blocks, followed by a batch norm only."""
        plain = node.groups == 1 and not node.transposed and not node.bias and node.inputs[0] != INPUT
        whole = node.out_channels % self.block == 0 and node.output in self.alive
        return plain and whole and isinstance(self.graph.only_consumer(node.output), ir.BatchNorm)
