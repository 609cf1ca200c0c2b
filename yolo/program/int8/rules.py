"""Which values of a graph may be bytes, and which nodes compute on them."""

from __future__ import annotations

import math

from yolo.program.ir import Conv, Graph, Node
from yolo.program.scales import LEAST, MOST

MOVEMENTS = ("concat", "split", "upsample", "pool")
"""Nodes that give bytes on as they are, so their values have one scale; of the pools only those of largest values."""
WHOLE_GROUPS = 16
"""Channels a group that a grouped convolution on bytes must have a multiple of, on any processor; or one: depthwise."""


def is_int8(node: Node, graph: Graph) -> bool:
    """Whether a node computes on bytes."""
    return node.kind != "dequantise" and (node.kind == "quantise" or node.inputs[0] in graph.scales)


def groups_fit(node: Conv, graph: Graph) -> bool:
    """Whether int8 kernels can compute a convolution's groups."""
    given = graph.channels[node.inputs[0]] // node.groups, node.out_channels // node.groups
    return node.groups == 1 or given == (1, 1) or not any(count % WHOLE_GROUPS for count in given)


def check_scales(graph: Graph) -> None:
    """Raise ValueError, in one line, where the values with scales are not those that the nodes can have."""
    for value, scale in graph.scales.items():
        sound = type(scale.step) is float and type(scale.zero) is int and math.isfinite(scale.step)
        if not sound or not LEAST < scale.step < MOST or not 0 <= scale.zero <= 255:
            raise ValueError(f"value {value} has no scale that bytes can have")
    producers = graph.producers()
    for value in graph.outputs:
        made = producers.get(value)
        apart = made is not None and made.kind == "conv" and made.inputs[0] in graph.scales and graph.consumers[value]
        if value in graph.scales or apart:
            raise ValueError(f"output {value} is not one that int8 can have")
    if graph.scales and graph.whole_pixels:
        raise ValueError("int8 takes no whole pixels as floats")
    for node in graph.nodes:
        if not _fits(node, graph):
            raise ValueError(f"{node.where} ({node.kind}): the scales of its values do not fit")


def _fits(node: Node, graph: Graph) -> bool:
    scales = graph.scales
    given = [value in scales for value in node.inputs]
    made = node.output in scales
    if node.kind in ("quantise", "dequantise"):
        return len(given) == 1 and given[0] == (node.kind == "dequantise") and made != given[0]
    if not any(given):
        return not made
    if node.kind == "conv":
        ends = made or node.output in graph.outputs
        return all(given) and not node.transposed and groups_fit(node, graph) and ends
    one = {scales.get(value) for value in (*node.inputs, node.output)}
    return node.kind in MOVEMENTS and len(one) == 1 and not getattr(node, "average", False)
