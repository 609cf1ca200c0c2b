"""Training plans of small networks that between them have every kind of step, made without OneFlow."""

from __future__ import annotations

import math
from typing import Any

from tests.program.mutants.bases import IMGSZ, mappings
from yolo.models.config import parse_model_config
from yolo.models.parser import parse_network
from yolo.program import ir
from yolo.program.ir import Graph
from yolo.program.lower import lower
from yolo.program.plan import Plan
from yolo.program.target import Target, unsupported
from yolo.program.training.program import plan_training
from yolo.program.verify import tensor_shapes

SHAPE = (2, 3, IMGSZ, IMGSZ)
OPTIONS: tuple[dict[str, Any], ...] = ({}, {"recompute": True})


def value_offsets(graph: Graph) -> dict[str, int]:
    """Where each tensor starts in the vector of values: parameters first, then statistics of batch norms."""
    parameters: dict[str, int] = {}
    statistics: dict[str, int] = {}
    for node in graph.nodes:
        if isinstance(node, ir.BatchNorm):
            count = graph.channels[node.output]
            parameters |= {f"{node.weights}.weight": count, f"{node.weights}.bias": count}
            statistics |= {f"{node.weights}.running_mean": count, f"{node.weights}.running_var": count}
        for name, shape in tensor_shapes(node, graph.channels) if isinstance(node, ir.Conv) else ():
            part, size = graph.parts.get(name), math.prod(shape)
            whole, number = (name, 0) if part is None else (part.tensor, part.number)
            parameters[whole] = max(parameters.get(whole, 0), (number + 1) * size)
    offsets, end = {}, 0
    for name, size in {**parameters, **statistics}.items():
        offsets[name], end = end, end + size
    return offsets


def training_plans(threads: int = 2) -> dict[str, Plan]:
    """Plans by the network's name and what is special about them."""
    found, machine = {}, Target.of(threads=threads)
    for name, mapping in mappings().items():
        graph = lower(parse_network(parse_model_config(mapping, name="small")), {})
        offsets = value_offsets(graph)
        for options in OPTIONS:
            found[" ".join([name, *options])] = plan_training(graph, SHAPE, offsets, machine, **options)
        if unsupported("cpu", "bf16") is None:
            narrow = Target.of(precision="bf16", threads=threads)
            found[f"{name} bf16"] = plan_training(graph, SHAPE, offsets, narrow)
    return found
