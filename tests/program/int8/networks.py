"""Graphs for tests of int8, written down node by node."""

from __future__ import annotations

import dataclasses

import numpy as np

from yolo.models.activation import parse_activation
from yolo.program.builder import GraphBuilder
from yolo.program.int8.place import with_int8
from yolo.program.ir import Conv, Dequantise, Graph
from yolo.program.scales import Scale

SCALE = Scale(float(np.float32(0.03)), 37)


class Maker:
    """Builds graphs of convolutions with random weights."""

    def __init__(self, channels: int = 3, seed: int = 0) -> None:
        self.builder, self.tensors = GraphBuilder(channels), {}
        self._rng = np.random.default_rng(seed)

    def conv(self, *inputs: int, out: int, k: int = 3, act: str = "nn.SiLU()", groups: int = 1, **others) -> int:
        """A convolution of padding k // 2 with a bias; a second input is its residual."""
        name, inside = f"w{len(self.tensors)}", self.builder.channels(inputs[0]) // groups
        self.tensors[f"{name}.weight"] = self._rng.normal(0, 1.5 / (k * inside**0.5), (out, inside, k, k))
        self.tensors[f"{name}.bias"] = self._rng.normal(0, 0.3, out)
        kernel, padding = (k, k), others.pop("padding", (k // 2, k // 2))
        shape = {"out_channels": out, "kernel": kernel, "padding": padding, "groups": groups, **others}
        activation = parse_activation(act)
        return self.builder.add(Conv, *inputs, where=name, weights=name, bias=True, activation=activation, **shape)

    def graph(self, *outputs: int) -> Graph:
        return self.builder.build(outputs, {name: array.astype(np.float32) for name, array in self.tensors.items()})


def all_int8(graph: Graph, scale: Scale = SCALE) -> Graph:
    """The graph with every convolution on bytes, all of one scale."""
    return with_int8(graph, {node.output for node in graph.nodes if isinstance(node, Conv)}, lambda values: scale)


def random_images(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Random uint8 images."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def seen(graph: Graph, value: int) -> Graph:
    """The graph that gives one of its int8 values, as a float."""
    last = Dequantise((value,), len(graph.channels), "seen")
    made = [node.output for node in graph.nodes].index(value)
    nodes = (*graph.nodes[: made + 1], last)
    channels = (*graph.channels, graph.channels[value])
    return dataclasses.replace(graph, nodes=nodes, outputs=(last.output,), channels=channels)
