"""``results.csv``: one line an epoch, with YOLOv5's columns."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from yolo.engine.hooks.base import EpochReport, Hook, Training
from yolo.engine.run_files import COLUMNS
from yolo.io.files import write_text_atomic

logger = logging.getLogger("yolo")


def epoch_values(report: EpochReport) -> dict[str, float]:
    """An epoch's numbers under YOLOv5's names, without the epoch; nan where it was not validated."""
    found, nothing = report.validation, (float("nan"),) * 3
    scores = (float("nan"),) * 4
    if found is not None:
        metrics = found.metrics
        scores = (metrics.precision, metrics.recall, metrics.map50, metrics.map50_95)
    losses = (found.losses if found is not None else None) or nothing
    return dict(zip(COLUMNS[1:], (*report.losses, *scores, *losses, *report.rates)))


class ResultsCsv(Hook):
    """Writes a line when its epoch ends; a resumed run keeps the lines of the epochs that its checkpoint has."""

    def __init__(self, run: Path) -> None:
        self.path = run / "results.csv"

    def before_train(self, trainer: Training) -> None:
        kept = [_line(COLUMNS)]
        if trainer.progress.epoch and not self.path.exists():
            logger.warning("%s is gone: it begins anew at epoch %d", self.path, trainer.progress.epoch + 1)
        elif trainer.progress.epoch:
            kept += self.path.read_text(encoding="utf-8").splitlines(keepends=True)[1 : trainer.progress.epoch + 1]
        write_text_atomic(self.path, "".join(kept))

    def after_epoch(self, trainer: Training, report: EpochReport) -> None:
        values = [str(report.epoch), *(f"{value:.5g}" for value in epoch_values(report).values())]
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(_line(values))
            stream.flush()
            os.fsync(stream.fileno())  # the checkpoint that follows says that this line is there


def _line(cells) -> str:
    return ",".join(f"{cell:>20}" for cell in cells) + "\n"
