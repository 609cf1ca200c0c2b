"""A plan's JSON changed where it means something: past all that Python checks."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from tests.program.mutants.edits import Rng, places

NUMBERS = (-(2**40), -64, -1, 0, 1, 2, 3, 7, 8, 9, 16, 17, 63, 64, 255, 1000, 4096, 2**24, 2**31, 2**40, 2**62)
TEXTS = (
    *("", "blocked", "nchw", "nhwc", "SiLU", "Sigmoid", "ELU", "nothing", "max_pool", "average_pool", "upsample"),
    *("direct", "winograd", "winograd_2x2", "matmul"),
)
PARTS = ("forward", "backward")


def mutant(plan: dict[str, Any], rng: Rng) -> dict[str, Any]:
    """One or two numbers, flags or names changed, or a step taken away, doubled, moved, or given another's views."""
    plan = copy.deepcopy(plan)
    for _ in range(int(rng.integers(1, 3))):
        steps = plan[_any(PARTS, rng)]
        chance = rng.random()
        if chance < 0.05:
            _change({name: plan[name] for name in ("images", "heads")}, rng)
        elif chance < 0.1:
            name = _any(("arena", "values", "gradient"), rng)
            plan[name] = _near(plan[name], rng)
        elif chance < 0.75 and steps:
            _change(_any(steps, rng), rng)
        elif chance < 0.85 and steps:
            _give_view(steps, rng)
        elif steps:
            _move(plan, steps, rng)
    return plan


def _any(rows: Any, rng: Rng) -> Any:
    return rows[int(rng.integers(len(rows)))]


def _near(value: int, rng: Rng) -> int:
    near = (value - 1, value + 1, value + 64, value - 64, 2 * value, value // 2, value + 8, value - 8)
    return _any(near if rng.random() < 0.7 else NUMBERS, rng)


def _change(content: Any, rng: Rng) -> None:
    kind = _any((int, int, int, int, bool, float, str), rng)  # else nearly all would be numbers of views
    found = places(content, lambda value: type(value) is kind) or places(content, lambda value: type(value) is int)
    container, key = _any(found, rng)
    value = container[key]
    if type(value) is bool:
        container[key] = not value
    elif type(value) is float:
        container[key] = float(_any([0.0, -1.0, 1e-40, np.inf, np.nan, 1e30], rng))
    elif type(value) is str:
        container[key] = _any(TEXTS, rng)
    else:
        container[key] = _near(value, rng)


def _give_view(steps: list[Any], rng: Rng) -> None:
    """A step reads or writes what is another's."""
    views = [
        _any(step["views"][_any(sorted(step["views"]), rng)], rng) for step in (_any(steps, rng), _any(steps, rng))
    ]
    if rng.random() < 0.5:
        views[0].clear()
        views[0].update(views[1])
    else:
        views[0]["offset"] = views[1]["offset"]


def _move(plan: dict[str, Any], steps: list[Any], rng: Rng) -> None:
    at, kind = int(rng.integers(len(steps))), rng.integers(4)
    row = steps[at] if kind == 0 else steps.pop(at)
    if kind < 3:
        to = steps if kind < 2 else plan[_any(PARTS, rng)]
        to.insert(int(rng.integers(len(to) + 1)), copy.deepcopy(row))
