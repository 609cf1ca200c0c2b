"""Batch norms, activations and residual sums as part of the convolution before them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final

import numpy as np

from yolo.models.activation import IDENTITY
from yolo.program.ir import INPUT, Activate, Add, BatchNorm, Conv, Graph, Node

EPSILON: Final = 1e-3


def fold_batch_norm(graph: Graph) -> Graph:
    """Every convolution whose only reader is a batch norm becomes a convolution with a bias that gives both.

    w' = w * gamma / sqrt(var + eps), b' = beta + (b - mean) * gamma / sqrt(var + eps), computed in float64.
    Batch norms elsewhere (after a concatenation) stay, as scale and shift a channel.
    """
    tensors = dict(graph.tensors)

    def join(conv: Conv, reader: Node) -> Conv | None:
        if not isinstance(reader, BatchNorm):
            return None
        name = f"{conv.weights}+bn"
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = _folded(graph, conv, reader)
        return dataclasses.replace(conv, weights=name, bias=True)

    nodes = _joined(graph, join)
    for node in nodes:
        if isinstance(node, BatchNorm):
            scale, shift = scale_and_shift(graph, node)
            tensors[f"{node.weights}.scale"] = scale.astype(np.float32)
            tensors[f"{node.weights}.shift"] = shift.astype(np.float32)
    return dataclasses.replace(graph, nodes=nodes, tensors=tensors)


def scale_and_shift(graph: Graph, norm: BatchNorm) -> tuple[np.ndarray, np.ndarray]:
    """A batch norm of fixed statistics as scale and shift, float64 [C] each."""
    parts = ("weight", "bias", "running_mean", "running_var")
    gamma, beta, mean, var = (graph.tensors[f"{norm.weights}.{part}"].astype(np.float64) for part in parts)
    scale = gamma / np.sqrt(var + EPSILON)
    return scale, beta - mean * scale


def _folded(graph: Graph, conv: Conv, norm: BatchNorm) -> tuple[np.ndarray, np.ndarray]:
    scale, shift = scale_and_shift(graph, norm)
    weight = graph.tensors[f"{conv.weights}.weight"].astype(np.float64)
    if conv.bias:
        shift = shift + graph.tensors[f"{conv.weights}.bias"] * scale
    if conv.transposed:  # weights are [in, out / groups, kh, kw]: the output channel is the group and the second axis
        each = scale.reshape(conv.groups, 1, -1)
        weight = (weight.reshape(conv.groups, -1, each.shape[2], *conv.kernel) * each[..., None, None]).reshape(
            weight.shape
        )
    else:
        weight = weight * scale.reshape(-1, 1, 1, 1)
    return weight.astype(np.float32), shift.astype(np.float32)


def fuse_activations(graph: Graph) -> Graph:
    """An activation that alone reads a convolution is applied by it."""

    def join(conv: Conv, reader: Node) -> Conv | None:
        fits = isinstance(reader, Activate) and conv.activation == IDENTITY and conv.residual is None
        return dataclasses.replace(conv, activation=reader.activation) if fits else None

    return dataclasses.replace(graph, nodes=_joined(graph, join))


def _joined(graph: Graph, join: Callable[[Conv, Node], Conv | None]) -> tuple[Node, ...]:
    """The nodes; where ``join`` makes one of a convolution and of what alone reads it, that one in their place."""
    nodes: list[Node | None] = list(graph.nodes)
    places = {id(node): place for place, node in enumerate(nodes)}
    for place, node in enumerate(nodes):
        reader = graph.only_consumer(node.output) if isinstance(node, Conv) else None
        conv = None if reader is None else join(node, reader)
        if conv is not None:
            nodes[place], nodes[places[id(reader)]] = dataclasses.replace(conv, output=reader.output), None
    return tuple(filter(None, nodes))


def fuse_residuals(graph: Graph) -> Graph:
    """A sum that alone reads a convolution is made by it, when the other operand is there before."""
    nodes: list[Node | None] = list(graph.nodes)
    made = {INPUT: -1} | {node.output: place for place, node in enumerate(nodes)}
    for place, node in enumerate(nodes):
        if not isinstance(node, Add):
            continue
        for own, other in (node.inputs[::-1], node.inputs):
            conv = nodes[made[own]] if made[own] >= 0 else None
            if not isinstance(conv, Conv) or conv.transposed or conv.residual is not None or own == other:
                continue
            if graph.only_consumer(own) is node and made[other] < made[own] and other != INPUT:
                nodes[made[own]] = dataclasses.replace(conv, inputs=(*conv.inputs, other), output=node.output)
                made[node.output] = made[own]
                nodes[place] = None
                break
    return dataclasses.replace(graph, nodes=tuple(filter(None, nodes)))


def fold_pixel_scale(graph: Graph) -> Graph:
    """The division of pixels by 255 as part of the first convolution's weights, where only convolutions see pixels.

    For low precisions: whole numbers up to 256 are exact in bfloat16, their 255ths are not.
    """
    first = graph.consumers[INPUT]
    if not all(isinstance(node, Conv) and node.residual is None and node.inputs[0] == INPUT for node in first):
        return graph
    tensors = dict(graph.tensors)
    for node in first:
        name = f"{node.weights}.weight"
        tensors[name] = (graph.tensors[name].astype(np.float64) / 255.0).astype(np.float32)
    return dataclasses.replace(graph, tensors=tensors, whole_pixels=True)
