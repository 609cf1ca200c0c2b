"""Small detectors that between them have every kind of node, as compiled files; made without OneFlow."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tests.models.small import small_mapping
from yolo.models.config import parse_model_config
from yolo.models.parser import parse_network
from yolo.models.spec import NetworkSpec
from yolo.program import ir
from yolo.program.file import ProgramFile
from yolo.program.int8.place import candidates, with_int8
from yolo.program.ir import Graph
from yolo.program.lower import lower
from yolo.program.passes import optimise
from yolo.program.scales import Scale
from yolo.program.verify import tensor_shapes

IMGSZ = 32
SCALE = Scale(float(np.float32(0.03)), 37)
BACKBONES: dict[str, list] = {
    "moves": [
        [-1, 1, "Focus", [16, 3]],
        [-1, 1, "Contract", [2]],
        [-1, 1, "Expand", [2]],
        [-1, 1, "nn.ZeroPad2d", [[0, 1, 0, 1]]],
        [-1, 1, "nn.MaxPool2d", [2, 1]],
        [-1, 1, "nn.ConvTranspose2d", [24, 2, 2]],
        [-1, 1, "Conv", [24, 3, 4, None, 4]],
        [-1, 1, "nn.AvgPool2d", [3, 1, 1]],
        [-1, 1, "nn.BatchNorm2d", []],
        [-1, 1, "nn.Hardswish", []],
        [-1, 1, "nn.Upsample", [None, 2, "bilinear"]],
        [-1, 1, "Conv", [16, 4, 2, 1]],
    ],
    "attention": [
        [-1, 1, "Conv", [16, 6, 4, 2]],
        [-1, 1, "C3TR", [32]],
        [-1, 1, "Conv", [12, [1, 5], 1, None, 1, [1, 2], "nn.LeakyReLU(0.2)"]],
        [[-1, -2], 1, "Concat", [1]],
        [[-1, 0], 1, "Concat", [1]],
        [-1, 1, "GhostConv", [16, 1]],
        [-1, 1, "C3", [32]],
    ],
    "threes": [
        [-1, 1, "Conv", [16, 6, 4, 2]],
        [-1, 1, "Conv", [48, 3]],
        [-1, 1, "Conv", [32, 3, 1, None, 1, 1, False]],
        [-1, 1, "Bottleneck", [32]],
        [[-1, 1], 1, "Concat", [1]],
        [-1, 1, "Conv", [16, 3, 1, None, 1, 1, "nn.Hardswish()"]],
        [-1, 1, "Conv", [32, 3, 2]],
    ],
}


def mappings() -> dict[str, dict[str, Any]]:
    """Model configurations by name."""
    found = {"levels": small_mapping()}
    for name, rows in BACKBONES.items():
        head = [[[len(rows) - 1], 1, "Detect", ["nc", "anchors"]]]
        found[name] = small_mapping(anchors=[[5, 6, 8, 14]], backbone=rows, head=head)
    return found


def bases() -> dict[str, ProgramFile]:
    """The files' contents by name."""
    found = {}
    for name, mapping in mappings().items():
        found[name] = program_file(mapping, "fp32")
        if name != "moves":
            found[f"{name}-int8"] = program_file(mapping, "int8")
    found["moves"] = dataclasses.replace(found["moves"], graph=with_sum(found["moves"].graph))
    return found | {"levels-bf16": program_file(small_mapping(), "bf16")}


def with_sum(graph: Graph) -> Graph:
    """The graph whose head reads twice what it has read: passes leave few sums that no convolution makes."""
    *nodes, head = graph.nodes
    (value,), made = head.inputs, len(graph.channels)
    nodes += [ir.Add((value, value), made, "sum"), dataclasses.replace(head, inputs=(made,))]
    return dataclasses.replace(graph, nodes=tuple(nodes), channels=(*graph.channels, graph.channels[value]))


def program_file(mapping: dict[str, Any], precision: str) -> ProgramFile:
    """A detector of this configuration with random weights."""
    spec = parse_network(parse_model_config(mapping, name="small"))
    graph = optimise(with_random_tensors(spec), precision)
    if precision == "int8":
        graph = with_int8(graph, {node.output for node in candidates(graph)}, lambda values: SCALE)
    anchors = np.array(spec.anchors, np.float32).reshape(len(spec.strides), -1, 2)
    return ProgramFile(graph, ("red", "blue"), spec.strides, anchors, precision, IMGSZ)


def with_random_tensors(spec: NetworkSpec, seed: int = 0) -> Graph:
    """The graph of a network, before any pass."""
    rng, tensors, graph = np.random.default_rng(seed), {}, lower(spec, {})
    for node in graph.nodes:
        if isinstance(node, ir.BatchNorm):
            for part in ("weight", "bias", "running_mean", "running_var"):
                values = rng.uniform(0.5, 1.5, graph.channels[node.output])
                tensors[f"{node.weights}.{part}"] = values.astype(np.float32)
        for name, shape in tensor_shapes(node, graph.channels) if isinstance(node, ir.Conv) else ():
            tensors[name] = rng.normal(0, 0.3, shape).astype(np.float32)
    return dataclasses.replace(graph, tensors=tensors)
