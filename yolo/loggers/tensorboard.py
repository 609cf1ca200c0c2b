"""TensorBoard events: the numbers of ``results.csv``, under the same names."""

from __future__ import annotations

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

        self._writer = SummaryWriter(str(self._run))

    def after_epoch(self, trainer: Trainer, report: EpochReport) -> None:
        for name, value in epoch_values(report).items():
            self._writer.add_scalar(name, value, report.epoch)

    def after_train(self, trainer: Trainer) -> None:
        self._writer.close()
