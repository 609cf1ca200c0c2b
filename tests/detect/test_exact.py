"""The detection command by direct convolutions."""

from __future__ import annotations

import json

import pytest

from yolo.program.inference.planner import plan_inference


@pytest.mark.covers("detect", "exact")
def test_exact(run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def plan(*args, exact: bool):
        asked.append(exact)
        return plan_inference(*args, exact=exact)

    monkeypatch.setattr("yolo.program.compiled.plan_inference", plan)
    argv = ("--source", "in", "--nosave", "--json")
    fast, exact = (json.loads(run(*argv, *more)[1])["images"][0]["detections"] for more in ((), ("--exact",)))
    assert asked == [False, True] and len(fast) == len(exact) == 5
    for ours, theirs in zip(fast, exact):
        assert ours["class"] == theirs["class"] and ours["conf"] == pytest.approx(theirs["conf"], abs=1e-4)
