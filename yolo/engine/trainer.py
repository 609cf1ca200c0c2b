"""The training loop."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolo.data.batch import Batch
from yolo.distributed.agreement import Agreement
from yolo.engine.build import TrainParts
from yolo.engine.clock import EpochClock
from yolo.engine.diverged import check_loss, check_norm
from yolo.engine.hooks.base import EpochReport, Hook
from yolo.engine.interrupt import StopRequest
from yolo.engine.progress import Progress
from yolo.engine.schedule import Schedule
from yolo.engine.time_limit import TimeLimit
from yolo.engine.tracer import Tracer
from yolo.engine.validator import Validation
from yolo.errors import Interrupted

logger = logging.getLogger("yolo")


class Trainer:
    """Trains ``parts.network``; hooks write what a user reads.

    It begins where ``progress`` stands, in the middle of an epoch too. ``saved`` is the newest checkpoint of this run.
    """

    def __init__(
        self,
        parts: TrainParts,
        schedule: Schedule,
        run: Path,
        hooks: Sequence[Hook],
        *,
        validate: bool,
        patience: int,
        progress: Progress | None = None,
        limit: TimeLimit | None = None,
        stop: StopRequest | None = None,
        agreement: Agreement | None = None,
    ) -> None:
        self.parts, self.schedule, self.run, self.hooks = parts, schedule, run, list(hooks)
        self.progress = progress or Progress()
        self.saved: Path | None = None
        self._validate, self.patience = validate, patience
        self._limit, self._stop = limit or TimeLimit(None), stop or StopRequest()
        self.agreement = agreement or Agreement()
        self.clock, self.tracer = EpochClock(self.compile_seconds), Tracer()
        self._begin = time.perf_counter()
        self._told = False  # that gradients are dropped
        if self.progress.epochs:
            self.schedule = dataclasses.replace(schedule, epochs=self.progress.epochs)

    @property
    def finished(self) -> bool:
        """Whether all epochs are trained, or results have not got better for too long."""
        return self.progress.epoch >= self.schedule.epochs or self.stale

    @property
    def stale(self) -> bool:
        """Whether ``patience`` is at its end: so many epochs have not bettered the best one."""
        since = self.progress.epoch - 1 - self.progress.best_epoch
        return bool(self.patience) and self._validate and since >= self.patience

    @property
    def hours(self) -> float | None:
        """The time limit, where there is one."""
        return None if self._limit.seconds is None else self._limit.seconds / 3600

    @property
    def stop_asked(self) -> bool:
        """Whether this process has been asked to stop."""
        return self._stop.signal is not None

    def train(self) -> None:
        """Run all epochs, or fewer when results stop getting better or the time is up.

        Raises Interrupted when ``stop`` was asked for, DivergedError when a number is none.
        """
        self._begin = time.perf_counter() - self.progress.seconds
        try:
            self._call("before_train")
            while not self.finished:
                self._run_epoch(self.progress.epoch)
                self._stop_if_asked()
            self._call("after_train")
            self._stop_if_asked()  # what comes behind takes as long as an epoch's validation
        except BaseException as error:
            with contextlib.ExitStack() as stack:  # all are told, even when one of them fails on that
                for hook in reversed(self.hooks):
                    stack.callback(hook.on_error, self, error)
            raise

    def compile_seconds(self) -> float:
        """Seconds spent compiling so far, for training and for validation."""
        return self.parts.step.compile_seconds + self.parts.validator.runner.compile_seconds

    def _run_epoch(self, epoch: int) -> None:
        self.clock = EpochClock(self.compile_seconds)
        self._call("before_epoch", epoch)
        self._train_batches(epoch)
        self.clock.lap("training")
        if not self._validate:
            self._plan_epochs(epoch + 1)  # whether this is the last, which is validated
        validation = self._validation(epoch)
        self.clock.lap("validating")
        best = self._judge(epoch, validation)
        outcome = (self.progress.losses, self.progress.rates, validation, best)
        report = EpochReport(epoch, *outcome, time.perf_counter() - self.clock.begin, self.clock.times())
        self.progress.end_epoch()
        if self._validate:
            self._plan_epochs(epoch + 1)
        self._call("after_epoch", report)

    def _train_batches(self, epoch: int) -> None:
        """The epoch's batches from the one that is next; none after the time is up."""
        progress = self.progress
        if not progress.batch:
            self._drop_pending()
        batches = self.clock.watch(self.parts.loader.batches(epoch, start=progress.batch))
        for batch in self.tracer.watch("step", "data", batches):
            parts = self._train_step(batch)
            mean = np.asarray(progress.losses, np.float32)
            mean += (parts[1:] - mean) / (progress.batch + 1)
            progress.losses = tuple(float(value) for value in mean)
            progress.step += 1
            progress.batch += 1
            self._call("after_step", progress.step - 1, batch, mean)
            with self.tracer.span("agreement"):
                self._stop_if_asked()
                over = self._is_over()
            if over:
                self.schedule = dataclasses.replace(self.schedule, epochs=epoch + 1)
                break

    def _drop_pending(self) -> None:
        """At an epoch's start: without the gradients that wait for an update, whose time stays what it was (YOLOv5)."""
        progress = self.progress
        if not progress.pending:
            return
        self.parts.step.state.drop_gradient()
        if not self._told:
            batches = "1 batch" if progress.pending == 1 else f"{progress.pending} batches"
            logger.info(
                "the gradient of %s that made no update by the end of epoch %d is dropped, there and in later epochs; "
                "--nbs %d would make an update of each batch",
                *(batches, progress.epoch, self.schedule.batch_size),
            )
        self._told = True

    def _train_step(self, batch: Batch) -> np.ndarray:
        """Forward and backward on one batch; an update when enough batches have added up."""
        progress, step = self.progress, self.parts.step
        with self.tracer.span("backward"):
            parts = step.backward(batch)
        check_loss(parts, batch, self)
        progress.pending += 1
        if progress.pending >= self.schedule.accumulate(progress.step):
            progress.updates += 1
            progress.pending = 0
            rates = self.schedule.rates(progress.step, progress.updates)
            progress.rates = (rates.bias, rates.weight, rates.norm)
            with self.tracer.span("update"):
                norm = step.update(rates)
            if not step.left_out:
                check_norm(norm, batch, self)
        return parts

    def _validation(self, epoch: int) -> Validation | None:
        if not self._validate and epoch + 1 < self.schedule.epochs:
            return None
        watchers = [hook.watch_validation(self, epoch) for hook in self.hooks]
        listeners = [watcher for watcher in watchers if watcher is not None]
        if self.agreement.alone:  # ranks validate at their own pace
            listeners.append(lambda batch, detections: self._stop_if_asked())
        return self.parts.validate_ema(listeners)

    def _judge(self, epoch: int, validation: Validation | None) -> bool:
        """Note the epoch's fitness and say whether it is the best so far; a later equal one counts as better."""
        if validation is None or validation.metrics.fitness < self.progress.best_fitness:
            return False
        self.progress.best_fitness, self.progress.best_epoch = validation.metrics.fitness, epoch
        return True

    def _plan_epochs(self, done: int) -> None:
        """With a time limit: as many epochs as the time is enough for."""
        seconds = self._seconds()
        if self._limit.seconds is not None:
            epochs = self._limit.epochs(done, seconds, self.compile_seconds())
            self.progress.epochs = int(self.agreement.first(epochs))
            self.schedule = dataclasses.replace(self.schedule, epochs=self.progress.epochs)

    def _is_over(self) -> bool:
        """Whether there is a time limit and it has passed, by the first rank's clock."""
        return self._limit.seconds is not None and self._limit.is_over(self.agreement.first(self._seconds()))

    def _seconds(self) -> float:
        """Seconds trained so far, those before an interruption included."""
        self.progress.seconds = time.perf_counter() - self._begin
        return self.progress.seconds

    def _stop_if_asked(self) -> None:
        """Where training may stop on request: nothing is half done, and a checkpoint of now is exact."""
        signal = self.agreement.stop(self._stop.signal)
        if signal is None:
            return
        self._seconds()
        progress, batches = self.progress, self.schedule.batches
        where = f"epoch {progress.epoch + 1}, batch {progress.batch} of {batches}" if not self.finished else "the end"
        raise Interrupted(f"stopped at {where}; go on with: python -m yolo.train --resume {self.run}", signal=signal)

    def _call(self, moment: str, *arguments) -> None:
        for hook in self.hooks:
            getattr(hook, moment)(self, *arguments)
