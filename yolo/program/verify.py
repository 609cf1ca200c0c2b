"""What must hold of a graph before it is compiled, whoever wrote it down. Sizes are checked by ``Graph.sizes``.

The executors check their plans once more (csrc/program/common/verify.h): a graph says what is computed, a step where
the numbers lie.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from yolo.models.activation import IDENTITY, Activation
from yolo.models.weights.finite import is_finite
from yolo.program import ir
from yolo.program.int8.rules import check_scales
from yolo.program.ir import INPUT, Graph, Node

MOST_CHANNELS: Final = 1 << 20
MOST_NODES: Final = 4096
"""Fifteen times those of YOLOv5x6. Planning takes a time that grows with their square."""
MOST_READS: Final = 4 * MOST_NODES
MOST_VALUES: Final = 8 * MOST_NODES
"""Passes leave gaps in the numbers of values."""
MOST_INPUTS: Final = 64
_LEAST: Final = {"padding": 0, "output_padding": 0, "sides": 0, "start": 0}
"""Of a node's whole numbers, by name; 1 for all others."""
_COUNTS: Final = ("out_channels", "groups", "start", "count", "heads")
"""Numbers of channels; the others are numbers of cells."""
_MOST_CELLS: Final = 1 << 14
"""More than a model file may name."""
_INPUTS: Final = {"conv": (1, 2), "add": (2, 2), "concat": (1, MOST_INPUTS), "attention": (3, 3)}
"""Least and most, by kind; 1 for all others."""


def channels_of(nodes: Sequence[Node], first: int) -> tuple[int, ...]:
    """Channels of every value, 0 for numbers that none has; raises ValueError unless each is made once, in order."""
    if len(nodes) > MOST_NODES or sum(len(node.inputs) for node in nodes) > MOST_READS:
        raise ValueError(f"{len(nodes)} nodes, or inputs of them, which is more than any network has")
    if not 1 <= first <= MOST_CHANNELS:
        raise ValueError(f"its images have {first} channels")
    channels = {INPUT: first}
    for node in nodes:
        if not node.where.isprintable():
            raise ValueError(f"{node.where[:80]!r} is no name of a place")
        _require(node.output not in channels and node.output < MOST_VALUES, node, f"makes no new value {node.output}")
        absent = [value for value in node.inputs if value not in channels]
        _require(not absent, node, f"reads values that are not there: {absent[:3]}")
        least, most = _INPUTS.get(node.kind, (1, 1))
        _require(least <= len(node.inputs) <= most, node, f"has {len(node.inputs)} inputs")
        for name, number in _numbers(node):
            fits = _LEAST.get(name, 1) <= number <= (MOST_CHANNELS if name in _COUNTS else _MOST_CELLS)
            _require(fits, node, f"{name} {number} is out of range")
        given = tuple(channels[value] for value in node.inputs)
        if type(node) in _RULES:
            _RULES[type(node)](node, given)
        made = node.channels(given)
        _require(1 <= made <= MOST_CHANNELS, node, f"has {made} channels")
        channels[node.output] = made
    return tuple(channels.get(value, 0) for value in range(max(channels) + 1))


def check_graph(graph: Graph) -> None:
    """Raise ValueError, in one line, for a graph that the executors cannot run as it is.

    Its nodes went through ``channels_of``. What remains: outputs, tensors and scales.
    """
    made = {node.output: node for node in graph.nodes}
    if not graph.outputs or len(set(graph.outputs)) < len(graph.outputs):
        raise ValueError("it has no outputs, or one of them twice")
    for value in graph.outputs:
        if not isinstance(made.get(value), ir.Conv) or graph.consumers[value]:
            raise ValueError(f"output {value} is not made by a convolution for itself")
    if any(not 0 <= value < len(graph.channels) or not graph.channels[value] for value in graph.scales):
        raise ValueError("a scale is of a value that is not there")
    _check_tensors(graph)
    check_scales(graph)


def tensor_shapes(node: Node, channels: Sequence[int]) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the constants that an optimised node needs."""
    if isinstance(node, ir.BatchNorm):
        return [(f"{node.weights}.{part}", (channels[node.output],)) for part in ("scale", "shift")]
    if not isinstance(node, ir.Conv):
        return []
    given = channels[node.inputs[0]]
    sides = (node.out_channels, given // node.groups)
    if node.transposed:
        sides = (given, node.out_channels // node.groups)
    shapes = [(f"{node.weights}.weight", (*sides, *node.kernel))]
    return [*shapes, (f"{node.weights}.bias", (node.out_channels,))] if node.bias else shapes


def mean_shapes(node: Node, channels: Sequence[int]) -> list[tuple[str, tuple[int, ...]]]:
    """The same of what a convolution may have for int8: the means of its input's channels."""
    return [(f"{node.weights}.mean", (channels[node.inputs[0]],))] if isinstance(node, ir.Conv) else []


def _require(fits: bool, node: Node, what: str) -> None:
    if not fits:
        raise ValueError(f"{node.where} ({node.kind}): {what}")


def _numbers(node: Node) -> Iterator[tuple[str, int]]:
    """The whole numbers of a node but the values' numbers."""
    for name, given in node.attributes():
        for number in given if isinstance(given, tuple) else (given,):
            if type(number) is int:
                yield name, number


def _conv(node: ir.Conv, given: tuple[int, ...]) -> None:
    divides = given[0] % node.groups == 0 and node.out_channels % node.groups == 0
    _require(divides, node, f"channels {given[0]} and {node.out_channels} do not divide into {node.groups} groups")
    extra, most = node.output_padding, max(*node.stride, *node.dilation) if node.transposed else 1
    _require(extra < most, node, f"output_padding {extra} is out of range")
    if node.residual is not None:
        _require(not node.transposed and node.residual != INPUT, node, "adds what it cannot add")
        _require(given[1] == node.out_channels, node, f"adds {given[1]} channels to {node.out_channels}")
    _activation(node.activation, node)


def _activation(activation: Activation, node: Node) -> None:
    value = np.float32(min(abs(activation.value or 0.0), 1e39))
    _require(math.isfinite(value), node, f"the number of its activation {activation} is out of range")


def _activate(node: ir.Activate, given: tuple[int, ...]) -> None:
    _require(node.activation != IDENTITY, node, "has no activation")
    _activation(node.activation, node)


def _alike(node: Node, given: tuple[int, ...]) -> None:
    _require(len(set(given)) == 1, node, f"its inputs have different channels: {list(given)}")


def _attention(node: ir.Attention, given: tuple[int, ...]) -> None:
    _alike(node, given)
    _require(given[0] % node.heads == 0, node, f"{given[0]} channels do not divide into {node.heads} heads")


def _split(node: ir.Split, given: tuple[int, ...]) -> None:
    end = node.start + node.count
    _require(end <= given[0], node, f"takes channels {node.start} to {end} of {given[0]}")


def _pool(node: ir.Pool, given: tuple[int, ...]) -> None:
    fits = 2 * node.padding <= node.kernel
    _require(fits, node, f"padding {node.padding} is more than half of its kernel {node.kernel}")


def _depth_to_space(node: ir.DepthToSpace, given: tuple[int, ...]) -> None:
    cells = node.gain**2
    _require(given[0] % cells == 0, node, f"{given[0]} channels do not divide into {cells} cells")


_RULES: Final[Mapping[type[Node], Callable[[Node, tuple[int, ...]], None]]] = {
    ir.Conv: _conv,
    ir.Activate: _activate,
    ir.Add: _alike,
    ir.Attention: _attention,
    ir.Split: _split,
    ir.Pool: _pool,
    ir.DepthToSpace: _depth_to_space,
}


def _check_tensors(graph: Graph) -> None:
    """Each node has tensors of its own, of the shape that it needs, and all numbers in them are finite."""
    owners: dict[str, Node] = {}
    for node in graph.nodes:
        means = [row for row in mean_shapes(node, graph.channels) if row[0] in graph.tensors]
        for name, shape in (*tensor_shapes(node, graph.channels), *means):
            _require(owners.setdefault(name, node) is node, node, f"the tensor {name} is another node's too")
            found = graph.tensors.get(name)
            fits = found is not None and found.dtype == np.float32 and found.shape == shape
            _require(fits, node, f"the tensor {name} is not there or has another shape")
            _require(is_finite(found), node, f"the tensor {name} has numbers that are not finite")
