"""Experiment trackers as one hook: told the same things at the same moments, and unable to stop a training run."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from yolo.engine.hooks.base import EpochReport, Hook, Training
from yolo.errors import ConfigError, YoloError
from yolo.io.files import write_text_atomic
from yolo.loggers.results_csv import epoch_values
from yolo.loggers.service import FoundObjects, RunInfo, Service
from yolo.plots.validation import in_batch_pixels

if TYPE_CHECKING:
    from yolo.data.batch import Batch
    from yolo.engine.validator import BatchListener, Validation

logger = logging.getLogger("yolo")

SHOWN_IMAGES = 16
SHOWN_CONFIDENCE = 0.25
IDENTITIES = "loggers.json"


class Tracking(Hook):
    """Tells ``services`` of a run. One that fails after the start is left alone from then on, with a warning."""

    def __init__(self, services: Sequence[Service], info: RunInfo, *, bbox_interval: int, save_period: int) -> None:
        """bbox_interval: epochs between images with boxes, -1 for a tenth of the run, 0 for none."""
        self._services, self._info = list(services), info
        self._interval, self._period = bbox_interval, save_period
        self._found: list[FoundObjects] = []

    def before_train(self, trainer: Training) -> None:
        """Open the run everywhere. Raises ConfigError when a tracker cannot."""
        file = self._info.folder / IDENTITIES
        resumed = trainer.progress.step > 0 and file.is_file()
        known = json.loads(file.read_text()) if resumed else {}
        for service in self._services:
            try:
                with _results_kept_apart():
                    known[service.name] = service.start(self._info, known.get(service.name))
            except YoloError:
                raise
            except Exception as error:  # whatever the library comes up with
                line = f"does not start ({type(error).__name__}: {error})"
                raise ConfigError(line, where=f"--loggers {service.name}", hint="leave it out") from error
        write_text_atomic(file, json.dumps(known) + "\n")

    def watch_validation(self, trainer: Training, epoch: int) -> BatchListener | None:
        every = self._interval if self._interval >= 0 else max(trainer.schedule.epochs // 10, 1)
        if not every or (epoch + 1) % every:
            return None
        self._found = []

        def take(batch: Batch, detections: list[np.ndarray]) -> None:
            for number in range(min(len(batch), SHOWN_IMAGES - len(self._found))):
                self._found.append(_found(batch, number, detections[number]))

        return take

    def after_epoch(self, trainer: Training, report: EpochReport) -> None:
        if self._found:
            shown, self._found = self._found, []
            self._tell(lambda service: service.found(shown, report.epoch))
        values = {name: value for name, value in epoch_values(report).items() if math.isfinite(value)}
        self._tell(lambda service: service.numbers(values, report.epoch))
        if self._period > 0 and (report.epoch + 1) % self._period == 0:
            self._weights(
                "last", ["last", f"epoch {report.epoch + 1}", *(["best"] if report.best else [])], report.epoch
            )

    def after_run(self, trainer: Training, validation: Validation) -> None:
        epoch = trainer.progress.epoch - 1
        files = sorted(file for file in self._info.folder.iterdir() if file.suffix in (".png", ".jpg"))
        if files:
            self._tell(lambda service: service.images(files, epoch))
        self._weights("best", ["latest", "best"], trainer.progress.best_epoch)
        self._close(failed=False)

    def on_error(self, trainer: Training, error: BaseException) -> None:
        self._close(failed=True)

    def _weights(self, name: str, aliases: list[str], epoch: int) -> None:
        file = self._info.folder / "weights" / f"{name}.safetensors"
        if file.is_file():
            self._tell(lambda service: service.weights(file, aliases, epoch))

    def _close(self, *, failed: bool) -> None:
        def finish(service: Service) -> None:
            line = service.finish(failed)
            if line:
                logger.info("%s: the run was recorded offline; next: %s", service.name, line)

        self._tell(finish)
        self._services.clear()

    def _tell(self, call: Callable[[Service], object]) -> None:
        for service in list(self._services):
            try:
                with _results_kept_apart():
                    call(service)
            except Exception as error:  # a tracker's trouble must not end hours of training
                self._services.remove(service)
                logger.warning(
                    "%s failed (%s: %s); the run goes on without it", service.name, type(error).__name__, error
                )


def _results_kept_apart() -> contextlib.AbstractContextManager:
    """What a library prints goes to stderr: stdout holds the command's results only."""
    return contextlib.redirect_stdout(sys.stderr)


def _found(batch: Batch, number: int, rows: np.ndarray) -> FoundObjects:
    image = np.ascontiguousarray(batch.images[number].transpose(1, 2, 0))
    sure = in_batch_pixels(rows, batch.letterboxes[number]) if batch.letterboxes is not None else rows
    return FoundObjects(Path(batch.paths[number]).name, image, sure[sure[:, 4] > SHOWN_CONFIDENCE])
