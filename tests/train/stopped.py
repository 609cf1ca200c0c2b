"""Trainings that are stopped in the middle, and what they then leave behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.loggers.events import read_scalars
from yolo.engine.train_step import TrainStep
from yolo.models.weights.load import load_weights


def differences(ours: Path, theirs: Path) -> list[str]:
    """What differs between two runs in weights, EMA, optimizer, counters, results and kept checkpoints."""
    found = []
    for name in sorted({file.name for folder in (ours, theirs) for file in (folder / "weights").iterdir()}):
        a, b = (load_weights(folder / "weights" / name) for folder in (ours, theirs))
        for part in ("model", "training"):
            x, y = getattr(a, part) or {}, getattr(b, part) or {}
            found += [f"{name}: {part} {key}" for key in x.keys() ^ y.keys()]
            found += [f"{name}: {part} {key}" for key in x.keys() & y.keys() if x[key].tobytes() != y[key].tobytes()]
        for one in (a, b):
            one.meta["progress"].pop("seconds")
        found += [f"{name}: {key}" for key in ("progress", "hyp", "imgsz", "hooks") if a.meta[key] != b.meta[key]]
    for name in ("results.csv", "hyp.yaml"):
        found += [name] * ((ours / name).read_text() != (theirs / name).read_text())
    return found + ["TensorBoard"] * (str(read_scalars(ours)) != str(read_scalars(theirs)))  # nan is nan


def interrupt(monkeypatch: pytest.MonkeyPatch, step: int, number: int = signal.SIGINT) -> None:
    """Send this process a signal in the middle of a step."""
    backward, count = TrainStep.backward, iter(range(1, 1000))

    def sending(self: TrainStep, batch) -> np.ndarray:
        if next(count) == step:
            os.kill(os.getpid(), number)
        return backward(self, batch)

    monkeypatch.setattr(TrainStep, "backward", sending)
