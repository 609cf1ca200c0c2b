"""Which nodes compute on bytes, and the conversions that this needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection

from yolo.program.int8.observe import sources
from yolo.program.int8.rules import MOVEMENTS, groups_fit
from yolo.program.ir import INPUT, Conv, Dequantise, Graph, Node, Pool, Quantise
from yolo.program.scales import PIXELS, Scale


def candidates(graph: Graph) -> list[Conv]:
    """The convolutions that int8 kernels can compute."""
    return [node for node in graph.nodes if isinstance(node, Conv) and _computable(node, graph)]


def _computable(node: Conv, graph: Graph) -> bool:
    read_again = node.output in graph.outputs and graph.consumers[node.output]
    return groups_fit(node, graph) and not node.transposed and INPUT not in node.inputs[1:] and not read_again


def with_int8(graph: Graph, chosen: Collection[int], scale_of: Callable[[frozenset[int]], Scale]) -> Graph:
    """The graph whose convolutions with an output in ``chosen`` compute on bytes; all others stay as they are.

    Between two nodes on bytes, concatenations, splits, upsampling and max pools move bytes. Every other meeting of
    bytes and floats gets one conversion a value. ``scale_of`` gives the scale of values that are joined: of the set of
    computed values whose elements they hold.
    """
    on_bytes = _nodes_on_bytes(graph, chosen)
    made = {node.output for node in graph.nodes if node.output in on_bytes and node.output not in graph.outputs}
    if any(node.output in on_bytes and INPUT in node.inputs for node in graph.nodes):
        made.add(INPUT)
    builder = _Cut(graph, made)
    nodes = tuple(new for node in graph.nodes for new in builder.converted(node, node.output in on_bytes))
    cut = dataclasses.replace(graph, nodes=nodes, channels=tuple(builder.channels))
    return dataclasses.replace(cut, scales=_scales(cut, made | set(builder.quantised.values()), scale_of))


def _nodes_on_bytes(graph: Graph, chosen: Collection[int]) -> set[int]:
    """Outputs of the nodes that compute on bytes: those chosen, and what moves values towards them."""
    found = set(chosen)
    for node in reversed(graph.nodes):
        moves = node.kind in MOVEMENTS and not (isinstance(node, Pool) and node.average)
        inside = node.output not in graph.outputs and INPUT not in node.inputs
        if moves and inside and any(reader.output in found for reader in graph.consumers[node.output]):
            found.add(node.output)
    return found


class _Cut:
    """Gives nodes inputs of the form that they take."""

    def __init__(self, graph: Graph, made: Collection[int]) -> None:
        self.made, self.channels = made, list(graph.channels)
        self.quantised: dict[int, int] = {}
        self.floats: dict[int, int] = {}

    def converted(self, node: Node, on_bytes: bool) -> list[Node]:
        """The conversions that the node needs and are not there yet, then the node."""
        new: list[Node] = []
        inputs = tuple(self._in_form(value, on_bytes, node.where, new) for value in node.inputs)
        return [*new, dataclasses.replace(node, inputs=inputs)]

    def _in_form(self, value: int, as_bytes: bool, where: str, new: list[Node]) -> int:
        if (value in self.made) == as_bytes:
            return value
        known, kind = (self.quantised, Quantise) if as_bytes else (self.floats, Dequantise)
        if value not in known:
            known[value] = len(self.channels)
            self.channels.append(self.channels[value])
            new.append(kind((value,), known[value], where))
        return known[value]


def _scales(graph: Graph, of_bytes: set[int], scale_of: Callable[[frozenset[int]], Scale]) -> dict[int, Scale]:
    """One scale for all values that are moved into one another."""
    groups: dict[int, set[int]] = {value: {value} for value in sorted(of_bytes)}
    for node in graph.nodes:
        if node.kind in MOVEMENTS and node.output in of_bytes:
            joined = set().union(*(groups[value] for value in (*node.inputs, node.output)))
            groups |= dict.fromkeys(joined, joined)
    scales: dict[int, Scale] = {}
    for value, group in groups.items():
        if value not in scales:
            held = frozenset().union(*(sources(graph, member) for member in group))
            scales |= dict.fromkeys(group, PIXELS if group == {INPUT} else scale_of(held))
    return scales
