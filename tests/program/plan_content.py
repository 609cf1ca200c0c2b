"""Plans of small detectors as JSON, to be changed, and executors of them."""

from __future__ import annotations

import json
from typing import Any

from tests.program.mutants.plans import inference_plans
from tests.program.mutants.training import training_plans
from yolo import native
from yolo.program.plan import Plan

Content = dict[str, Any]
INFERENCE = inference_plans()
PLANS: dict[str, Content] = {
    **{name: json.loads(plan.to_json()) for name, plan in training_plans().items()},
    **{f"{name} for inference": json.loads(plan.to_json()) for name, (plan, _) in INFERENCE.items()},
}


def executor(content: Content, name: str = "", limits: native.Limits | None = None) -> native.Executor:
    """Of a plan; with the constants of the one of this name."""
    weights = INFERENCE.get(name.removesuffix(" for inference"), (None, None))[1]
    given = {} if limits is None else {"limits": limits}
    return native.Executor(Plan.from_json(json.dumps(content)), weights=weights, **given)


def copied(name: str) -> Content:
    """One of the plans, to be changed."""
    return json.loads(json.dumps(PLANS[name]))


def step_of(content: Content, kind: str, role: str = "") -> Content:
    """The first step of a kind, of those that have a view of the role."""
    steps = [*content["forward"], *content["backward"]]
    return next(step for step in steps if step["kind"] == kind and (not role or role in step["views"]))


def plan_with(kind: str, role: str = "") -> tuple[Content, Content]:
    """A plan and its first step of a kind."""
    for name in PLANS:
        content = copied(name)
        try:
            return content, step_of(content, kind, role)
        except StopIteration:
            continue
    raise AssertionError(f"no plan has a {kind} with {role}")
