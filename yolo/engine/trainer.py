"""The training loop."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolo.data.batch import Batch
from yolo.engine.clock import EpochClock
from yolo.engine.hooks import EpochReport, Hook
from yolo.engine.schedule import Schedule
from yolo.engine.setup import TrainParts
from yolo.engine.validator import Validation
from yolo.errors import YoloError


class DivergedError(YoloError):
    """The loss is no longer a finite number."""


@dataclasses.dataclass
class Progress:
    """Where a run stands. step: batches seen; updates: optimizer steps taken; pending: batches not yet applied."""

    epoch: int = 0
    step: int = 0
    updates: int = 0
    pending: int = 0
    best_epoch: int = -1
    best_fitness: float = -1.0


class Trainer:
    """Trains ``parts.network``; hooks write what a user reads."""

    def __init__(
        self, parts: TrainParts, schedule: Schedule, run: Path, hooks: Sequence[Hook], *, validate: bool, patience: int
    ) -> None:
        self.parts, self.schedule, self.run, self.hooks = parts, schedule, run, list(hooks)
        self.progress = Progress()
        self._validate, self._patience = validate, patience
        self._rates = (0.0, 0.0, 0.0)
        self.clock = EpochClock(self.compile_seconds)

    def train(self) -> None:
        """Run all epochs, or fewer when results stop getting better."""
        try:
            self._train()
        except BaseException as error:
            self._call("broke_off", error)
            raise

    def compile_seconds(self) -> float:
        """Seconds spent compiling so far, for training and for validation."""
        return self.parts.step.compile_seconds + self.parts.validator.forward.compile_seconds

    def _train(self) -> None:
        self._call("before_train")
        for epoch in range(self.progress.epoch, self.schedule.epochs):
            self.clock = EpochClock(self.compile_seconds)
            losses = self._train_epoch(epoch)
            self.clock.lap("training")
            validation = self._validation(epoch)
            self.clock.lap("validating")
            best = self._judge(epoch, validation)
            seconds = time.perf_counter() - self.clock.begin
            self.progress.epoch = epoch + 1
            outcome = (losses, self._rates, validation, best, seconds, self.clock.times())
            self._call("after_epoch", EpochReport(epoch, *outcome))
            if self._patience and epoch - self.progress.best_epoch >= self._patience and self._validate:
                break
        self._call("after_train")

    def _train_epoch(self, epoch: int) -> tuple[float, float, float]:
        self._call("before_epoch", epoch)
        mean = np.zeros(3, np.float32)
        for number, batch in enumerate(self.clock.watch(self.parts.loader.batches(epoch))):
            parts = self._train_step(batch)
            mean += (parts[1:] - mean) / (number + 1)
            self._call("after_step", self.progress.step - 1, batch, mean)
        return tuple(float(value) for value in mean)

    def _train_step(self, batch: Batch) -> np.ndarray:
        """Forward and backward on one batch; an update when enough batches have added up."""
        progress, step = self.progress, self.parts.step
        parts = step.backward(batch)
        if not np.isfinite(parts).all():
            names = ", ".join(str(path) for path in batch.paths[:4])
            raise DivergedError(
                f"the loss is {parts[0]} at epoch {progress.epoch + 1}, step {progress.step} (pictures: {names}, …)",
                mend="lower lr0 in the hyperparameters, or look at these pictures' labels",
            )
        progress.pending += 1
        if progress.pending >= self.schedule.accumulate(progress.step):
            progress.updates += 1
            progress.pending = 0
            rates = self.schedule.rates(progress.step, progress.updates)
            self._rates = (rates.bias, rates.weight, rates.norm)
            step.update(rates)
        progress.step += 1
        return parts

    def _validation(self, epoch: int) -> Validation | None:
        if not self._validate and epoch + 1 < self.schedule.epochs:
            return None
        watchers = [hook.watch_validation(self, epoch) for hook in self.hooks]
        return self.parts.validate_ema([watcher for watcher in watchers if watcher is not None])

    def _judge(self, epoch: int, validation: Validation | None) -> bool:
        """Note the epoch's fitness and say whether it is the best so far; a later equal one counts as better."""
        if validation is None or validation.metrics.fitness < self.progress.best_fitness:
            return False
        self.progress.best_fitness, self.progress.best_epoch = validation.metrics.fitness, epoch
        return True

    def _call(self, moment: str, *arguments) -> None:
        for hook in self.hooks:
            getattr(hook, moment)(self, *arguments)
