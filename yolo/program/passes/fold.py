"""Batch norm folded into the convolution before it."""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np

from yolo.program.ir import INPUT, BatchNorm, Conv, Graph
from yolo.program.passes.rewrite import only_consumer, with_nodes

EPSILON: Final = 1e-3


def fold_batch_norm(graph: Graph) -> Graph:
    """Every convolution whose only reader is a batch norm becomes a convolution with a bias that gives both.

    w' = w * gamma / sqrt(var + eps), b' = beta + (b - mean) * gamma / sqrt(var + eps), computed in float64.
    Batch norms elsewhere (after a concatenation) stay, as scale and shift a channel.
    """
    consumers, tensors = graph.consumers(), dict(graph.tensors)
    nodes = list(graph.nodes)
    places = {id(node): place for place, node in enumerate(nodes)}
    for place, node in enumerate(nodes):
        if not isinstance(node, Conv):
            continue
        reader = only_consumer(graph, consumers, node.output)
        if isinstance(reader, BatchNorm):
            name = f"{node.weights}+bn"
            tensors[f"{name}.weight"], tensors[f"{name}.bias"] = _folded(graph, node, reader)
            nodes[place] = dataclasses.replace(node, weights=name, bias=True, output=reader.output)
            nodes[places[id(reader)]] = None
    for node in nodes:
        if isinstance(node, BatchNorm):
            scale, shift = scale_and_shift(graph, node)
            tensors[f"{node.weights}.scale"] = scale.astype(np.float32)
            tensors[f"{node.weights}.shift"] = shift.astype(np.float32)
    return with_nodes(graph, nodes, tensors)


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


def fold_pixel_scale(graph: Graph) -> Graph:
    """The division of pixels by 255 as part of the first convolution's weights, where only convolutions see pixels.

    For low precisions: whole numbers up to 256 are exact in bfloat16, their 255ths are not.
    """
    first = graph.consumers()[INPUT]
    if not all(isinstance(node, Conv) and node.residual is None and node.inputs[0] == INPUT for node in first):
        return graph
    tensors = dict(graph.tensors)
    for node in first:
        name = f"{node.weights}.weight"
        tensors[name] = (graph.tensors[name].astype(np.float64) / 255.0).astype(np.float32)
    return dataclasses.replace(graph, tensors=tensors, whole_pixels=True)
