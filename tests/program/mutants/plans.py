"""Plans of inference and training, changed and run: past all that Python checks."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import numpy as np

from tests.program.mutants.bases import IMGSZ, bases
from tests.program.mutants.plan_edits import mutant
from yolo import native
from yolo.program.inference.constants import pack_weights
from yolo.program.inference.planner import plan_inference
from yolo.program.plan import Plan, Step
from yolo.program.target import Target, unsupported

WithWeights = tuple[Plan, native.Weights | None]


def inference_plans(batch: int = 1, threads: int = 2) -> dict[str, WithWeights]:
    """Plans and constants of the small detectors, by their names; of those precisions that this machine has."""
    found = {}
    for name, program in bases().items():
        if unsupported("cpu", program.precision) is None:
            target = Target.of(precision=program.precision, threads=threads)
            plan = plan_inference(program.graph, (batch, 3, IMGSZ, IMGSZ), target)
            plan = _by_own_kernels(plan) if name in ("levels", "threes") else plan
            found[name] = plan, pack_weights(program.graph, target.weight_limit, native.Weights())
    return found


def _by_own_kernels(plan: Plan) -> Plan:
    """The plan with their algorithms wherever they fit: maps this small are convolved directly."""
    steps = (
        dataclasses.replace(step, attributes={**step.attributes, "algorithm": _own_algorithm(step, plan.target.block)})
        if step.kind == "conv"
        else step
        for step in plan.forward
    )
    return dataclasses.replace(plan, forward=tuple(steps))


def _own_algorithm(step: Step, block: int) -> str:
    (source,), (target,) = step.views["source"], step.views["target"]
    if source.layout != "blocked" or source.channels % block or target.channels % block:
        return "direct"
    threes = "winograd" if target.channels <= source.channels else "winograd_2x2"
    shapes = {((3, 3), (1, 1)): "winograd", ((3, 3), (2, 2)): threes, ((1, 1), (1, 1)): "matmul"}
    return shapes.get((step.attributes["kernel"], step.attributes["stride"]), "direct")


class PlanMutants:
    """Mutants of plans by number; ``attempt`` builds one and runs its passes once each."""

    def __init__(self, plans: Sequence[WithWeights], limits: native.Limits) -> None:
        self._limits = limits
        self._plans = [(plan, weights, json.loads(plan.to_json())) for plan, weights in plans]
        self._rng = np.random.default_rng(0)

    def attempt(self, seed: int, number: int) -> str:
        """Whether it was "refused" or "ran"."""
        plan, weights, content = self._plans[number % len(self._plans)]
        try:
            changed = Plan.from_json(json.dumps(mutant(content, np.random.default_rng((seed, number)))))
            executor = native.Executor(changed, weights=weights, limits=self._limits)
            run_passes(executor, plan, self._rng)
        except (ValueError, RuntimeError, MemoryError, TypeError):  # a TypeError: not the numbers that C++ has
            return "refused"
        return "ran"


def run_passes(executor: native.Executor, plan: Plan, rng: np.random.Generator) -> list[np.ndarray]:
    """Run an executor on random images, with vectors and shapes of this plan; give the heads."""
    images = rng.integers(0, 256, plan.images, np.uint8)
    values, gradient = rng.uniform(0.5, 1.0, plan.values).astype(np.float32), np.zeros(plan.gradient, np.float32)
    heads = executor(images, values) if plan.values else executor(images)
    if plan.backward:
        executor.backward([np.ones_like(head) for head in heads], values, gradient)
    return heads
