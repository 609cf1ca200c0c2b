"""What a person at the terminal sees of a training run: a bar an epoch, or plain lines where there is no terminal."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from yolo.engine.hooks import EpochReport, Hook

if TYPE_CHECKING:
    from yolo.data.batch import Batch
    from yolo.engine.trainer import Trainer

logger = logging.getLogger("yolo")

HEADER = f"{'Epoch':>9}{'box_loss':>10}{'obj_loss':>10}{'cls_loss':>10}{'labels':>8}{'size':>6}"


class Console(Hook):
    """Losses while an epoch runs, metrics when it ends; all on stderr."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._epoch = ""
        self._begin = time.perf_counter()

    def before_epoch(self, trainer: Trainer, epoch: int) -> None:
        self._epoch = f"{epoch + 1}/{trainer.schedule.epochs}"
        if sys.stderr.isatty():
            logger.info(HEADER)
            self._bar = tqdm(total=trainer.schedule.batches, file=sys.stderr, bar_format="{l_bar}{bar:10}{r_bar}")

    def after_step(self, trainer: Trainer, step: int, batch: Batch, losses: np.ndarray) -> None:
        if self._bar is None:
            return
        labels, size = sum(map(len, batch.labels)), max(batch.images.shape[2:])
        text = "".join(f"{value:10.4g}" for value in losses)
        self._bar.set_description_str(f"{self._epoch:>9}{text}{labels:>8}{size:>6}", refresh=False)
        self._bar.update()

    def after_epoch(self, trainer: Trainer, report: EpochReport) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        losses = "  ".join(f"{name} {value:.4f}" for name, value in zip(("box", "obj", "cls"), report.losses))
        line = f"epoch {self._epoch}  {losses}"
        if report.validation is not None:
            metrics = report.validation.metrics
            line += f"  P {metrics.precision:.3f}  R {metrics.recall:.3f}"
            line += f"  mAP50 {metrics.map50:.3f}  mAP50-95 {metrics.map50_95:.3f}"
        logger.info("%s  (%.1f s)%s", line, report.seconds, "  best" if report.best else "")

    def after_train(self, trainer: Trainer) -> None:
        logger.info(
            "%d epochs in %.1f s, of which %.1f s compiling",
            trainer.progress.epoch,
            time.perf_counter() - self._begin,
            trainer.parts.step.compile_seconds + trainer.parts.validator.forward.compile_seconds,
        )
