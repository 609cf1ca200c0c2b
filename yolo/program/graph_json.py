"""A graph as JSON and back; what comes back was checked to be a graph."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from yolo.models.activation import Activation, parse_activation
from yolo.program import ir
from yolo.program.ir import INPUT, Graph, Node
from yolo.program.scales import Scale, check_scales

KINDS: Final[Mapping[str, type[Node]]] = {
    kind.kind: kind
    for kind in (
        *(ir.Conv, ir.BatchNorm, ir.Activate, ir.Add, ir.Concat, ir.Split, ir.Pool, ir.Upsample, ir.Pad),
        *(ir.Bilinear, ir.SpaceToDepth, ir.DepthToSpace, ir.Attention, ir.Quantise, ir.Dequantise),
    )
}
MOST_CHANNELS: Final = 1 << 20
_MOST_NODES: Final = 100_000


def graph_to_json(graph: Graph) -> dict[str, Any]:
    """The graph without its tensors."""
    return {
        "channels": graph.channels[INPUT],
        "outputs": list(graph.outputs),
        "whole_pixels": graph.whole_pixels,
        "nodes": [_node_to_json(node) for node in graph.nodes],
        "scales": [[value, scale.step, scale.zero] for value, scale in graph.scales.items()],
    }


def graph_from_json(content: Any, tensors: Mapping[str, np.ndarray]) -> Graph:
    """The graph of ``graph_to_json`` with its tensors; raises ValueError, in one line, for what is none."""
    try:
        if len(content["nodes"]) > _MOST_NODES:
            raise ValueError("more nodes than any network has")
        nodes = tuple(_node_from_json(row) for row in content["nodes"])
        outputs = tuple(_whole(value) for value in content["outputs"])
        first, pixels = _whole(content["channels"]), content["whole_pixels"]
        scales = {_whole(value): Scale(step, zero) for value, step, zero in content.get("scales", [])}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no description of a graph ({error})") from None
    if not isinstance(pixels, bool) or not 1 <= first <= MOST_CHANNELS or not outputs:
        raise ValueError("no description of a graph (its input or outputs)")
    channels = _channels(nodes, first)
    if not all(value in channels for value in outputs):
        raise ValueError("an output is made by no node")
    if not all(value in channels for value in scales):
        raise ValueError("a scale is of a value that is not there")
    for node in nodes:
        _check_tensors(node, channels, tensors)
    values = tuple(channels.get(value, 0) for value in range(max(channels) + 1))
    graph = Graph(nodes, outputs, values, tensors, pixels, scales=scales)
    check_scales(graph)
    return graph


def _node_to_json(node: Node) -> dict[str, Any]:
    row = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
    return {"kind": node.kind} | {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Activation):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _node_from_json(row: Mapping[str, Any]) -> Node:
    row = dict(row)
    kind = KINDS[row.pop("kind")]
    wanted = _fields(kind)
    if set(row) != set(wanted):
        raise ValueError(f"a {kind.kind} node has other fields than it should")
    return kind(**{name: _value(row[name], wanted[name]) for name in wanted})


@functools.cache
def _fields(kind: type[Node]) -> dict[str, Any]:
    """The names and types of a kind's fields."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _value(value: Any, wanted: Any) -> Any:
    """A field's value as its type says; raises ValueError for another."""
    if wanted is Activation:
        return parse_activation(value if isinstance(value, str) else "")
    if wanted in (int, bool, str):
        if type(value) is not wanted or (wanted is int and not abs(value) < 1 << 31):
            raise ValueError(f"{value!r} is no {wanted.__name__}")
        return value
    if isinstance(wanted, types.GenericAlias) and isinstance(value, list):
        inner = typing.get_args(wanted)
        if inner[-1] is Ellipsis or len(inner) == len(value):
            return tuple(_whole(item) for item in value)
    raise ValueError(f"{value!r} is no {wanted}")


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise ValueError(f"{value!r} is no number of the kind that is needed")
    return value


def _channels(nodes: tuple[Node, ...], first: int) -> dict[int, int]:
    """Channels of every value, made in order, each once."""
    channels = {INPUT: first}
    for node in nodes:
        if node.output in channels or not node.inputs or not all(value in channels for value in node.inputs):
            raise ValueError(f"{node.where}: its inputs or output are out of order")
        _check_numbers(node)
        channels[node.output] = node.channels(tuple(channels[value] for value in node.inputs))
        if not 1 <= channels[node.output] <= MOST_CHANNELS:
            raise ValueError(f"{node.where}: {channels[node.output]} channels")
    if max(channels) > 1_000_000:
        raise ValueError("more nodes than any network has")
    return channels


def _check_numbers(node: Node) -> None:
    """Refuse what no kernel can compute with."""
    positive = [getattr(node, name, 1) for name in ("groups", "scale", "gain", "count")]
    for name in ("kernel", "stride", "dilation"):
        given = getattr(node, name, 1)
        positive += given if isinstance(given, tuple) else [given]
    if min(positive) < 1 or max(positive) > 1 << 20 or len(node.inputs) > 64:
        raise ValueError(f"{node.where}: a number is out of range")


def _check_tensors(node: Node, channels: Mapping[int, int], tensors: Mapping[str, np.ndarray]) -> None:
    wanted = [*tensor_shapes(node, channels), *(row for row in mean_shapes(node, channels) if row[0] in tensors)]
    for name, shape in wanted:
        found = tensors.get(name)
        if found is None or found.dtype != np.float32 or found.shape != shape:
            raise ValueError(f"{node.where}: the tensor {name} is not there or has another shape")


def tensor_shapes(node: Node, channels: Mapping[int, int]) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the constants that an optimised node needs."""
    if isinstance(node, ir.BatchNorm):
        return [(f"{node.weights}.{part}", (channels[node.output],)) for part in ("scale", "shift")]
    if not isinstance(node, ir.Conv):
        return []
    given = channels[node.inputs[0]]
    if given % node.groups or node.out_channels % node.groups:
        raise ValueError(f"{node.where}: channels do not divide into {node.groups} groups")
    sides = (node.out_channels, given // node.groups)
    if node.transposed:
        sides = (given, node.out_channels // node.groups)
    shapes = [(f"{node.weights}.weight", (*sides, *node.kernel))]
    return [*shapes, (f"{node.weights}.bias", (node.out_channels,))] if node.bias else shapes


def mean_shapes(node: Node, channels: Mapping[int, int]) -> list[tuple[str, tuple[int, ...]]]:
    """The same of what a convolution may have for int8: the means of its input's channels."""
    return [(f"{node.weights}.mean", (channels[node.inputs[0]],))] if isinstance(node, ir.Conv) else []
