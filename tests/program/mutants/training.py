"""Training plans of small networks that between them have every kind of step, made without OneFlow."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from tests.program.mutants.bases import IMGSZ, mappings
from tests.program.mutants.plan_edits import mutant
from yolo.models.config import parse_model_config
from yolo.models.parser import parse_network
from yolo.program import ir
from yolo.program._native import native
from yolo.program.ir import Graph
from yolo.program.lower import lower
from yolo.program.plan import Plan
from yolo.program.target import Target
from yolo.program.training.program import plan_training
from yolo.program.verify import tensor_shapes

SHAPE = (2, 3, IMGSZ, IMGSZ)
OPTIONS: tuple[dict[str, Any], ...] = ({}, {"recompute": True}, {"bytes_in": False})


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
    found = {}
    for name, mapping in mappings().items():
        graph = lower(parse_network(parse_model_config(mapping, name="small")), {})
        for options in OPTIONS:
            target = Target.of(threads=threads)
            plan = plan_training(graph, SHAPE, value_offsets(graph), target, **options)
            found[" ".join([name, *options])] = plan
    return found


class TrainingMutants:
    """Mutants of the plans by number; ``attempt`` builds one and runs its passes once each."""

    def __init__(self, limits: native.Limits) -> None:
        self._limits = limits
        self._plans = [(plan, json.loads(plan.to_json())) for plan in training_plans().values()]
        self._rng = np.random.default_rng(0)
        self._images = self._rng.integers(0, 256, SHAPE, np.uint8)

    def attempt(self, seed: int, number: int) -> str:
        """Whether it was "refused" or "ran"."""
        plan, content = self._plans[number % len(self._plans)]
        try:
            changed = Plan.from_json(json.dumps(mutant(content, np.random.default_rng((seed, number)))))
            executor = native.Executor(changed, limits=self._limits)
            self._run(executor, plan)
        except (ValueError, RuntimeError, MemoryError, TypeError):  # a TypeError: not the numbers that C++ has
            return "refused"
        return "ran"

    def _run(self, executor: native.Executor, plan: Plan) -> None:
        values = self._rng.uniform(0.5, 1.0, plan.values).astype(np.float32)
        gradient = np.zeros(plan.gradient, np.float32)
        floats = any(not step.attributes["bytes"] for step in plan.forward if step.kind == "load_images")
        heads = executor(self._images / np.float32(255) if floats else self._images, values)
        executor.backward([np.ones_like(head) for head in heads], values, gradient)
