"""Activations and residual sums fused into the convolution before them."""

from __future__ import annotations

import dataclasses

from yolo.models.activation import IDENTITY
from yolo.program.ir import INPUT, Activate, Add, Conv, Graph
from yolo.program.passes.rewrite import only_consumer, with_nodes


def fuse_activations(graph: Graph) -> Graph:
    """An activation that alone reads a convolution is applied by it."""
    consumers, nodes = graph.consumers(), list(graph.nodes)
    places = {id(node): place for place, node in enumerate(nodes)}
    for place, node in enumerate(nodes):
        if not isinstance(node, Conv) or node.activation != IDENTITY or node.residual is not None:
            continue
        reader = only_consumer(graph, consumers, node.output)
        if isinstance(reader, Activate):
            nodes[place] = dataclasses.replace(node, activation=reader.activation, output=reader.output)
            nodes[places[id(reader)]] = None
    return with_nodes(graph, nodes)


def fuse_residuals(graph: Graph) -> Graph:
    """A sum that alone reads a convolution is made by it, when the other operand is there before."""
    consumers, nodes = graph.consumers(), list(graph.nodes)
    made = {INPUT: -1} | {node.output: place for place, node in enumerate(nodes)}
    for place, node in enumerate(nodes):
        if not isinstance(node, Add):
            continue
        for own, other in (node.inputs[::-1], node.inputs):
            conv = nodes[made[own]] if made[own] >= 0 else None
            if not isinstance(conv, Conv) or conv.transposed or conv.residual is not None or own == other:
                continue
            if only_consumer(graph, consumers, own) is node and made[other] < made[own] and other != INPUT:
                nodes[made[own]] = dataclasses.replace(conv, inputs=(*conv.inputs, other), output=node.output)
                made[node.output] = made[own]
                nodes[place] = None
                break
    return with_nodes(graph, nodes)
