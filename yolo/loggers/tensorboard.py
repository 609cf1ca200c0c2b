"""TensorBoard events: the numbers of ``results.csv``, under the same names."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from yolo.engine.hooks import EpochReport, Hook
from yolo.loggers.results_csv import epoch_values

if TYPE_CHECKING:
    from yolo.engine.trainer import Trainer


class TensorBoard(Hook):
    """Writes an event file into the run's folder; look at it with ``tensorboard --logdir runs/train``."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._writer = None

    def before_train(self, trainer: Trainer) -> None:
        from tensorboardX import SummaryWriter

        progress = trainer.progress
        # TensorBoard is told to forget what an earlier file says of the epochs that come now; a file's own name is of
        # the second in which it was made, and a run may be stopped and resumed within it.
        suffix = f".{progress.step:08}" if progress.step else ""
        self._writer = SummaryWriter(str(self._run), purge_step=progress.epoch, filename_suffix=suffix)

    def after_epoch(self, trainer: Trainer, report: EpochReport) -> None:
        for name, value in epoch_values(report).items():
            if math.isfinite(value):  # else it was not measured
                self._writer.add_scalar(name, value, report.epoch)
        self._writer.flush()

    def broke_off(self, trainer: Trainer, error: BaseException) -> None:
        if self._writer is not None:
            self._writer.close()

    def after_train(self, trainer: Trainer) -> None:
        self._writer.close()
