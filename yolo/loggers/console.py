"""What a person at the terminal sees of a training run: a bar an epoch, or plain lines where there is no terminal."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from yolo.data.stages import CONSUMER
from yolo.engine.hooks.base import EpochReport, Hook, Training
from yolo.engine.loading import says_rendered

if TYPE_CHECKING:
    from yolo.data.batch import Batch
    from yolo.engine.validator import BatchListener, Validation

logger = logging.getLogger("yolo")

HELD_UP = 0.1
"""Of an epoch's time: who waits less than that for data need not hear what held it up."""
WIDE = 121
"""Columns that everything needs; a narrower terminal gets no bar, labels and size."""


class Console(Hook):
    """Losses, speed and time left while an epoch runs, metrics when it ends; all on stderr."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._messages = contextlib.ExitStack()
        self._epoch = ""
        self._begin = time.perf_counter()
        self._wide = True
        self._told_renderers = False

    def before_epoch(self, trainer: Training, epoch: int) -> None:
        self._epoch = f"{epoch + 1}/{trainer.schedule.epochs}"
        if not sys.stderr.isatty():
            return
        columns = shutil.get_terminal_size().columns
        self._wide = columns >= WIDE
        logger.info(header(self._wide))
        room = "|{bar:10}|" if self._wide else ""
        form = "{desc} {percentage:3.0f}%" + room + " {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
        bounds = {"total": trainer.schedule.batches, "initial": trainer.progress.batch}
        self._bar = tqdm(**bounds, file=sys.stderr, bar_format=form, ncols=columns)
        self._messages.enter_context(logging_redirect_tqdm([logger]))

    def after_step(self, trainer: Training, step: int, batch: Batch, losses: np.ndarray) -> None:
        if self._bar is None:
            return
        more = (sum(map(len, batch.labels)), max(batch.images.shape[2:])) if self._wide else ()
        self._bar.set_description_str(row(self._epoch, losses, more), refresh=False)
        clock = trainer.clock
        speed = clock.images / max(time.perf_counter() - clock.begin, 1e-9)
        data = _data(clock.waiting_share(), trainer) if self._wide else f"data {clock.waiting_share():.0%}"
        self._bar.set_postfix_str(f"{speed:.1f} img/s, {data}", refresh=False)
        self._bar.update()

    def watch_validation(self, trainer: Training, epoch: int) -> BatchListener | None:
        bar, wide = self._bar, self._wide
        if bar is None:
            return None
        trained, total, seen = bar.postfix, len(trainer.parts.validator.loader), 0

        def show(batch: Batch, detections: list[np.ndarray]) -> None:
            nonlocal seen
            seen += 1
            validated = f"{trained}, val {seen}/{total}" if wide else f"val {seen}/{total}"
            bar.set_postfix_str(validated if seen < total else trained)

        return show

    def after_epoch(self, trainer: Training, report: EpochReport) -> None:
        told = self._bar is not None  # speed and waiting stand on the bar
        self._close()
        losses = "  ".join(f"{name} {value:.4f}" for name, value in zip(("box", "obj", "cls"), report.losses))
        line = f"epoch {self._epoch}  {losses}"
        if report.validation is not None:
            metrics = report.validation.metrics
            line += f"  P {metrics.precision:.3f}  R {metrics.recall:.3f}"
            line += f"  mAP50 {metrics.map50:.3f}  mAP50-95 {metrics.map50_95:.3f}"
        parts = [
            f"{report.seconds:.1f} s",
            *([] if told else _speed(report, trainer)),
            *_left(report, trainer.schedule.epochs),
        ]
        logger.info("%s  (%s)%s", line, ", ".join(parts), "  best" if report.best else "")
        self._tell_renderers(trainer)

    def after_train(self, trainer: Training) -> None:
        if trainer.stale and trainer.progress.epoch < trainer.schedule.epochs:
            logger.info(
                "stopped early: no improvement in the last %d epochs (--patience); the best was epoch %d",
                trainer.patience,
                trainer.progress.best_epoch + 1,
            )
        elif trainer.hours is not None:
            logger.info("no more epochs: another would not fit into the %g hours of --time", trainer.hours)
        logger.info(
            "%d epochs in %.1f s, of which %.1f s compiling",
            trainer.progress.epoch,
            time.perf_counter() - self._begin,
            trainer.compile_seconds(),
        )
        loading = trainer.parts.loader.report()
        if loading is not None and loading.bottleneck != CONSUMER and loading.waiting >= HELD_UP * loading.seconds:
            shares = loading.shares()
            logger.info(
                "the loader was the bottleneck: the last epoch waited %.0f%% of the time for data; busy: %s; "
                "batches ready when one was asked for: %.1f of %d",
                100 * (1 - shares.pop(CONSUMER)),
                ", ".join(f"{stage} {share:.0%}" for stage, share in shares.items()),
                loading.queued,
                loading.ahead,
            )

    def after_run(self, trainer: Training, validation: Validation) -> None:
        self._close()

    def on_error(self, trainer: Training, error: BaseException) -> None:
        self._close()

    def _tell_renderers(self, trainer: Training) -> None:
        """Once: in every epoch it would be much the same."""
        line = says_rendered(trainer.parts.loader.rendered(), trainer.parts.validator.loader.rendered())
        if line and not self._told_renderers:
            logger.info("%s", line)
            self._told_renderers = True

    def _close(self) -> None:
        """End the bar, so that what follows begins on a line of its own."""
        self._messages.close()
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def header(wide: bool) -> str:
    """The names over the columns of ``row``."""
    if wide:
        return f"{'Epoch':>9}{'box_loss':>10}{'obj_loss':>10}{'cls_loss':>10}{'labels':>8}{'size':>6}"
    return f"{'Epoch':>7}{'box':>8}{'obj':>8}{'cls':>8}"


def row(epoch: str, losses: np.ndarray, more: tuple[int, ...]) -> str:
    """The numbers before the bar. more: labels in the batch and its size, or nothing where room is short."""
    if more:
        labels, size = more
        return f"{epoch:>9}" + "".join(f"{value:10.4g}" for value in losses) + f"{labels:>8}{size:>6}"
    return f"{epoch:>7}" + "".join(f"{value:8.3g}" for value in losses)


def duration(seconds: float) -> str:
    """``42 s``, ``7 min``, ``3 h 05 min``: as exact as a forecast can be."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def _data(share: float, trainer: Training) -> str:
    """The share of waiting for data, with the stage that holds the step back where that is worth a word."""
    loading = trainer.parts.loader.report()
    return f"data {share:.0%}" + (f" ({loading.slowest})" if loading is not None and share >= HELD_UP else "")


def _speed(report: EpochReport, trainer: Training) -> list[str]:
    """Images a second and the share of waiting, both while the epoch trained."""
    times = report.times
    busy = times.training + times.waiting
    if not times.pictures or busy <= 0:
        return []
    return [f"{times.pictures / busy:.1f} img/s", _data(times.waiting / busy, trainer)]


def _left(report: EpochReport, epochs: int) -> list[str]:
    """A forecast: epochs to come will take what this one took, without its compiling."""
    to_come = epochs - report.epoch - 1
    return [f"{duration(to_come * (report.seconds - report.times.compiling))} left"] if to_come else []
