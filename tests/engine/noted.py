"""Trainers of parts that only take notes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from yolo.config.hyp import Hyperparameters
from yolo.data.batch import Batch
from yolo.engine.hooks.base import EpochReport, Hook
from yolo.engine.schedule import Schedule
from yolo.engine.trainer import Trainer

MOMENTS = (
    *("before_train", "before_epoch", "after_step", "watch_validation", "after_epoch", "after_train", "on_error"),
)


class Notes(Hook):
    """Writes down every moment with its arguments, into a list that several may share."""

    def __init__(self, name: str = "a", shared: list | None = None) -> None:
        self.calls: list[tuple] = [] if shared is None else shared
        for moment in MOMENTS:
            setattr(self, moment, lambda trainer, *rest, m=moment: self.calls.append((name, m, *rest)))

    def reports(self) -> list[EpochReport]:
        return [call[2] for call in self.calls if call[1] == "after_epoch"]


class Step:
    """Gives losses from a list, and notes after how many batches each update came, its rates, and whose gradients."""

    compile_seconds = 0.0

    def __init__(self, losses: list[float] | None = None, norm: float = 1.0) -> None:
        self.losses, self.norm, self.seen, self.updates = losses, norm, 0, []
        self.held: list[int] = []
        self.applied: list[list[int]] = []
        self.left_out = False
        self.state = self  # of which only ``drop_gradient`` is asked for

    def backward(self, batch: Batch) -> np.ndarray:
        value = self.losses[self.seen] if self.losses else 1.0 + self.seen
        self.held.append(self.seen)
        self.seen += 1
        return np.array([6 * value, value, 2 * value, 3 * value], np.float32)

    def update(self, rates) -> float:
        self.updates.append((self.seen, rates))
        self.applied.append(self.held)
        self.held = []
        return self.norm

    def drop_gradient(self) -> None:
        self.held = []


def make(
    epochs, batches, *, fitness=(), hooks=(), validate=True, patience=0, batch_size=16, nominal=64, step=None, **more
):
    """A trainer whose validations have the fitnesses given, and a list of the epochs in which it validated."""
    batch = Batch(np.zeros((1, 3, 8, 8), np.uint8), (), np.arange(1), tuple(Path(f"{k}.png") for k in range(6)))
    schedule = Schedule(Hyperparameters(), epochs, batches, batch_size, nominal)
    step, validated, scores = step or Step(), [], iter(fitness)

    def validation(listeners):
        validated.append(trainer.progress.epoch)
        for listener in listeners:
            listener(batch, [])
        return SimpleNamespace(metrics=SimpleNamespace(fitness=next(scores, 0.5)))

    loader = SimpleNamespace(batches=lambda epoch, start: iter([batch] * (batches - start)))
    validator = SimpleNamespace(runner=SimpleNamespace(compile_seconds=0.0))
    parts = SimpleNamespace(loader=loader, step=step, validator=validator, validate_ema=validation)
    trainer = Trainer(parts, schedule, Path("run"), hooks, validate=validate, patience=patience, **more)
    return trainer, validated
