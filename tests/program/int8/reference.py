"""A graph with int8 values in NumPy: whole numbers as the kernels should have them, sums in int64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from yolo.program import ir
from yolo.program.inference.constants import whole_weight
from yolo.program.ir import Conv, Graph
from yolo.program.scales import Scale
from yolo.program.target import Target

PLAIN_ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Identity": lambda u: u,
    "SiLU": lambda u: u / (1 + np.exp(-u)),
    "ReLU": lambda u: np.maximum(u, 0),
    "ReLU6": lambda u: np.clip(u, 0, 6),
    "Hardswish": lambda u: u * np.clip(u + 3, 0, 6) / 6,
    "Sigmoid": lambda u: 1 / (1 + np.exp(-u)),
    "Mish": lambda u: u * np.tanh(np.logaddexp(0, u)),
    "GELU": lambda u: u * (0.5 + 0.5 * np.vectorize(math.erf)(u / math.sqrt(2))),
    "Tanh": np.tanh,
}


def run_whole(graph: Graph, image: np.ndarray, target: Target | None = None) -> dict[int, np.ndarray]:
    """Every value of a graph of int8 nodes only, for an image uint8 ``[C, H, W]``: bytes as int64, outputs as float64.

    ``target``: this machine's by default. Bytes of the same place in the executor may differ by one where a value lies
    half-way between two.
    """
    target = target or Target.of(precision="int8")
    values = {ir.INPUT: image.astype(np.int64)}
    for node in graph.nodes:
        given = [values[value] for value in node.inputs]
        if isinstance(node, Conv):
            values[node.output] = _conv(node, given, graph, target)
        elif isinstance(node, ir.Concat):
            values[node.output] = np.concatenate(given)
        elif isinstance(node, ir.Upsample):
            values[node.output] = given[0].repeat(node.scale, 1).repeat(node.scale, 2)
        elif isinstance(node, ir.Pool):
            values[node.output] = _largest(given[0], node)
        else:
            raise AssertionError(f"the reference has no {node.kind}")
    return values


def to_bytes(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Rounded to nearest, ties to even, held within 0..255."""
    return np.clip(np.rint(values / scale.step) + scale.zero, 0, 255).astype(np.int64)


def _conv(node: Conv, given: list[np.ndarray], graph: Graph, target: Target) -> np.ndarray:
    source = graph.scales[node.inputs[0]]
    weight, steps = whole_weight(node, graph.tensors[f"{node.weights}.weight"], target)
    sums = _sums(given[0] - source.zero, weight.astype(np.int64), node)
    real = sums * (np.float64(source.step) * steps.astype(np.float64))[:, None, None]
    real += graph.tensors[f"{node.weights}.bias"].astype(np.float64)[:, None, None]
    real = _activated(real, node)
    if node.residual is not None:
        scale = graph.scales[node.residual]
        real += (given[1] - scale.zero) * scale.step
    return real if node.output in graph.outputs else to_bytes(real, graph.scales[node.output])


def _sums(source: np.ndarray, weight: np.ndarray, node: Conv) -> np.ndarray:
    (top, left), (down, right), (dy, dx) = node.padding, node.stride, node.dilation
    padded = np.pad(source, ((0, 0), (top, top), (left, left)))
    height, width = node.size((source.shape[1:],))
    inside, outside = weight.shape[1], len(weight) // node.groups
    total = np.zeros((len(weight), height, width), np.int64)
    for group in range(node.groups):
        own = slice(group * outside, (group + 1) * outside)
        channels = padded[group * inside : (group + 1) * inside]
        for y in range(node.kernel[0]):
            for x in range(node.kernel[1]):
                rows = slice(y * dy, y * dy + (height - 1) * down + 1, down)
                columns = slice(x * dx, x * dx + (width - 1) * right + 1, right)
                total[own] += np.einsum("oc,chw->ohw", weight[own, :, y, x], channels[:, rows, columns])
    return total


def _activated(values: np.ndarray, node: Conv) -> np.ndarray:
    name, slope = node.activation.name, node.activation.value
    if name == "LeakyReLU":
        return np.where(values > 0, values, values * slope)
    if name == "ELU":
        return np.where(values > 0, values, slope * np.expm1(np.minimum(values, 0)))
    return PLAIN_ACTIVATIONS[name](values)


def _largest(source: np.ndarray, node: ir.Pool) -> np.ndarray:
    edge, k, s = node.padding, node.kernel, node.stride
    padded = np.pad(source, ((0, 0), (edge, edge), (edge, edge)), constant_values=-1)
    height, width = node.size((source.shape[1:],))
    windows = [
        padded[:, y : y + (height - 1) * s + 1 : s, x : x + (width - 1) * s + 1 : s] for y in range(k) for x in range(k)
    ]
    return np.max(windows, axis=0)
