"""The constants of a graph as inference's executors take them."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np

from yolo.program import ir
from yolo.program.inference.algorithm import FOURS, WINOGRAD, int8_algorithm
from yolo.program.int8.rules import is_int8
from yolo.program.int8.weights import corrected_bias, quantised_for_winograd, quantised_in_fours, quantised_weight
from yolo.program.ir import Graph
from yolo.program.target import Target


class Weights(Protocol):
    """A device's constants."""

    def set(self, name: str, values: np.ndarray) -> None: ...


AnyWeights = TypeVar("AnyWeights", bound=Weights)


def pack_weights(graph: Graph, target: Target, weights: AnyWeights) -> AnyWeights:
    """``weights`` with the constants of a graph for a target, which replace those of an equal graph."""
    for node in graph.nodes:
        if isinstance(node, ir.Conv):
            tensors = packed_conv(node, graph, target)
            weights.set(f"{node.weights}.weight", _grouped(tensors.pop("weight"), node))
            for part, values in tensors.items():
                weights.set(f"{node.weights}.{part}", values)
        elif isinstance(node, ir.BatchNorm):
            for part in ("scale", "shift"):
                weights.set(f"{node.weights}.{part}", graph.tensors[f"{node.weights}.{part}"])
    return weights


def packed_conv(node: ir.Conv, graph: Graph, target: Target) -> dict[str, np.ndarray]:
    """The weight of a convolution and, where there are, its bias and the steps of its whole weights ("scale")."""
    parts = {name: graph.tensors.get(f"{node.weights}.{name}") for name in ("weight", "bias", "mean")}
    weight, bias, mean = parts["weight"], parts["bias"] if node.bias else None, parts["mean"]
    if is_int8(node, graph):
        whole, steps = whole_weight(node, weight, target)
        if bias is not None and mean is not None:
            bias = corrected_bias(bias, weight, whole, steps, mean)
        found = {"weight": whole, "scale": steps}
    else:
        found = {"weight": weight}
    return found if bias is None else {**found, "bias": bias}


def whole_weight(node: ir.Conv, weight: np.ndarray, target: Target) -> tuple[np.ndarray, np.ndarray]:
    """The weight of a convolution of bytes in whole numbers, and its steps, as the target's kernels can take them."""
    algorithm = int8_algorithm(node, (weight.shape[1] * node.groups, len(weight)), target)
    if algorithm == FOURS:
        return quantised_in_fours(weight)
    return quantised_for_winograd(weight) if algorithm == WINOGRAD else quantised_weight(weight, target.weight_limit)


def _grouped(weight: np.ndarray, node: ir.Conv) -> np.ndarray:
    """Weights as [out, in, kh, kw], or [groups, out, in, kh, kw]."""
    weight = np.ascontiguousarray(weight, np.float32)
    if node.transposed:
        weight = weight.reshape(node.groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    elif node.groups > 1:
        weight = weight.reshape(node.groups, -1, *weight.shape[1:])
    return np.ascontiguousarray(weight[0] if node.transposed and node.groups == 1 else weight)
