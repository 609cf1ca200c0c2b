"""The steps of a program as calls of the executor, to be changed and made again: past all that Python checks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.program.mutants.edits import Rng, places
from yolo import native
from yolo.program.file import ProgramFile
from yolo.program.inference import planner
from yolo.program.inference.planner import build_program, pack_weights

Call = dict[str, Any]
NUMBERS = (-(2**40), -64, -1, 0, 1, 2, 3, 7, 8, 9, 16, 17, 63, 64, 255, 1000, 4096, 2**24, 2**31, 2**40, 2**62)


class Recorder:
    """Takes the place of the executor while a program is planned; views and scales become dicts."""

    def __init__(self, calls: list[Call], *arguments: Any) -> None:
        self.calls = calls
        self._note("InferenceProgram", arguments[1:5], {})

    def _note(self, method: str, args: tuple, named: dict[str, Any]) -> None:
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in named.items()}
        self.calls.append({"method": method, "args": list(args), "named": plain})

    def __getattr__(self, method: str) -> Callable[..., None]:
        return lambda *args, **named: self._note(method, args, named)


def recorded(program: ProgramFile, size: int) -> list[Call]:
    """The calls that build the executor for pictures of size x size."""
    calls: list[Call] = []
    recorder = SimpleNamespace(
        InferenceProgram=lambda *arguments: Recorder(calls, *arguments),
        View=lambda *numbers: {"view": list(numbers)},
        Scale=lambda step, zero: {"scale": [step, zero]},
        Limits=native.Limits,
        channel_block=native.channel_block,
        default_threads=native.default_threads,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "native", recorder)
        build_program(program.graph, native.Weights(), (size, size), bf16=program.precision == "bf16")
    return calls


def played(calls: list[Call], weights: native.Weights, limits: native.Limits) -> native.InferenceProgram:
    """The executor of these calls; raises what it raises."""
    arena, batch, _, bf16 = calls[0]["args"]  # how many threads there are is no plan's to say
    made = native.InferenceProgram(weights, arena, batch, 2, bf16, limits)
    for call in calls[1:]:
        method = getattr(made, call["method"])
        method(*map(_object, call["args"]), **{name: _object(value) for name, value in call["named"].items()})
    return made


def _object(value: Any) -> Any:
    if isinstance(value, dict):
        return native.View(*value["view"]) if "view" in value else native.Scale(*value["scale"])
    return [_object(item) for item in value] if isinstance(value, list) else value


def mutant(calls: list[Call], rng: Rng) -> list[Call]:
    """The calls with one to three numbers, flags or names changed, or with a step taken away, doubled or moved."""
    calls = copy.deepcopy(calls)
    for _ in range(int(rng.integers(1, 4))):
        if rng.random() < 0.8:
            _change(calls, rng)
            continue
        at, kind = int(rng.integers(1, len(calls))), rng.integers(3)
        row = calls[at] if kind == 0 else calls.pop(at)
        if kind < 2:
            calls.insert(int(rng.integers(1, len(calls) + 1)), copy.deepcopy(row))
        if len(calls) < 2:
            break
    return calls


def _change(calls: list[Call], rng: Rng) -> None:
    found = places(calls[int(rng.integers(len(calls)))], lambda value: type(value) in (int, bool, float))
    if not found:
        return
    container, key = found[int(rng.integers(len(found)))]
    value = container[key]
    if type(value) is bool:
        container[key] = not value
    elif type(value) is float:
        container[key] = float(rng.choice([0.0, -1.0, 1e-40, np.inf, np.nan, 1e30]))
    else:
        near = (value - 1, value + 1, value + 64, value - 64, 2 * value, value // 2, value + 8, value - 8)
        rows = near if rng.random() < 0.7 else NUMBERS
        container[key] = rows[int(rng.integers(len(rows)))]


def weights_of(program: ProgramFile) -> native.Weights:
    """As the program has them."""
    return pack_weights(program.graph)
