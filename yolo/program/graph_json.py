"""A graph as JSON and back; what comes back was checked to be a graph."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from yolo.models.activation import Activation, parse_activation
from yolo.program import ir
from yolo.program.ir import INPUT, Graph, Node
from yolo.program.scales import Scale
from yolo.program.verify import MOST_NODES, channels_of, check_graph

KINDS: Final[Mapping[str, type[Node]]] = {
    kind.kind: kind
    for kind in (
        *(ir.Conv, ir.BatchNorm, ir.Activate, ir.Add, ir.Concat, ir.Split, ir.Pool, ir.Upsample, ir.Pad),
        *(ir.Bilinear, ir.SpaceToDepth, ir.DepthToSpace, ir.Attention, ir.Quantise, ir.Dequantise),
    )
}


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
    """The graph of ``graph_to_json`` with its tensors; raises ValueError, in one line, for anything else."""
    try:
        rows, pixels = content["nodes"], content["whole_pixels"]
        if not isinstance(rows, list) or len(rows) > MOST_NODES:
            raise ValueError(f"its nodes are not a list of at most {MOST_NODES}")
        types_of = {name: typing.get_type_hints(kind) for name, kind in KINDS.items()}  # slow: not once a node
        nodes = tuple(_node_from_json(row, types_of) for row in rows)
        outputs = tuple(_whole(value) for value in content["outputs"])
        scales = [(_whole(value), Scale(step, zero)) for value, step, zero in content.get("scales", [])]
        first = _whole(content["channels"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a description of a graph ({error})") from None
    if not isinstance(pixels, bool):
        raise ValueError("not a description of a graph (its whole_pixels)")
    if len(dict(scales)) < len(scales):
        raise ValueError("a value has two scales")
    graph = Graph(nodes, outputs, channels_of(nodes, first), tensors, pixels, scales=dict(scales))
    check_graph(graph)
    return graph


def _node_to_json(node: Node) -> dict[str, Any]:
    row = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
    return {"kind": node.kind} | {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Activation):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _node_from_json(row: Mapping[str, Any], types_of: Mapping[str, Mapping[str, Any]]) -> Node:
    row = dict(row)
    name = row.pop("kind")
    kind, wanted = KINDS[name], types_of[name]
    fields = {field.name for field in dataclasses.fields(kind)}
    if set(row) != fields:
        raise ValueError(f"a {kind.kind} node has other fields than it should")
    return kind(**{name: _value(row[name], wanted[name]) for name in fields})


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
