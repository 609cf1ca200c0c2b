"""Which checkpoints a run keeps, and what is in them."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from yolo import __version__
from yolo.config.commands import TrainConfig
from yolo.engine.hooks import EpochReport, Hook
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.safetensors_io import save_checkpoint
from yolo.models.weights.transfer import checkpoint_of

if TYPE_CHECKING:
    from yolo.engine.trainer import Trainer


class Checkpoints(Hook):
    """Keeps ``weights/last.safetensors`` and ``weights/best.safetensors``, and every n-th epoch on request.

    All hold the EMA as the model. ``last`` also holds what going on with training needs; ``best`` does not.
    """

    def __init__(self, run: Path, config: TrainConfig) -> None:
        self.last, self.best = run / "weights/last.safetensors", run / "weights/best.safetensors"
        self._config = config

    def after_epoch(self, trainer: Trainer, report: EpochReport) -> None:
        if self._config.nosave:
            return
        plain = self._save(trainer, best=report.best)
        if self._config.save_period > 0 and (report.epoch + 1) % self._config.save_period == 0:
            save_checkpoint(self.last.with_name(f"epoch{report.epoch}.safetensors"), plain)

    def after_train(self, trainer: Trainer) -> None:
        if self._config.nosave:
            self._save(trainer, best=True)

    def _save(self, trainer: Trainer, *, best: bool) -> Checkpoint:
        """Write ``last``, and ``best`` where it is; give the latter's content."""
        checkpoint = self._checkpoint(trainer)
        save_checkpoint(self.last, checkpoint)
        plain = dataclasses.replace(checkpoint, training=None)
        if best:
            save_checkpoint(self.best, plain)
        return plain

    def _checkpoint(self, trainer: Trainer) -> Checkpoint:
        parts, progress = trainer.parts, trainer.progress
        meta = {
            "version": __version__,
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "imgsz": parts.imgsz,
            "options": dataclasses.asdict(self._config),
            "hyp": dataclasses.asdict(parts.hyp),
            "progress": dataclasses.asdict(progress),
        }
        checkpoint = checkpoint_of(parts.network, parts.names, training=parts.step.training_state(), meta=meta)
        return dataclasses.replace(checkpoint, model=parts.step.ema())
