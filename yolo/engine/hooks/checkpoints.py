"""Which checkpoints a run keeps, and what is in them."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path

from yolo import __version__
from yolo.config.commands import TrainConfig
from yolo.distributed.process_group import LONE, ProcessGroup
from yolo.engine.diverged import check_tensors
from yolo.engine.hooks.base import EpochReport, Hook, Training, states_of
from yolo.errors import Interrupted
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.safetensors_io import save_checkpoint
from yolo.models.weights.transfer import checkpoint_of


class Checkpoints(Hook):
    """Keeps ``weights/last.safetensors`` and ``weights/best.safetensors``, and every n-th epoch on request.

    All hold the EMA as the model. ``last`` also holds what going on with training needs; the others do not. ``last`` is
    written after them: what it says is done is on disk, and what was written since it is made again. Of several ranks
    all bring together what is to be written, and the first writes it. Nothing is written that is not finite: raises
    DivergedError, and the checkpoints of before stay.
    """

    def __init__(self, run: Path, config: TrainConfig, group: ProcessGroup = LONE) -> None:
        self.last, self.best = run / "weights/last.safetensors", run / "weights/best.safetensors"
        self._config, self._group = config, group

    def before_train(self, trainer: Training) -> None:
        if trainer.progress.step:
            trainer.saved = self.last

    def after_epoch(self, trainer: Training, report: EpochReport) -> None:
        period = self._config.save_period
        kept = [self.last.with_name(f"epoch{report.epoch + 1}.safetensors")]  # as the console counts
        if not self._config.nosave:
            periodic = period > 0 and (report.epoch + 1) % period == 0
            self._save(trainer, [self.best] * report.best + kept * periodic)

    def on_error(self, trainer: Training, error: BaseException) -> None:
        if isinstance(error, Interrupted):
            self._save(trainer, [])

    def after_train(self, trainer: Training) -> None:
        if self._config.nosave:
            self._save(trainer, [self.best])

    def _save(self, trainer: Training, others: Sequence[Path]) -> None:
        """Write ``others``, without the state of training, and then ``last``."""
        with trainer.tracer.span("checkpoint"):
            self._write(trainer, others)

    def _write(self, trainer: Training, others: Sequence[Path]) -> None:
        checkpoint = self._checkpoint(trainer)
        check_tensors(checkpoint.model | (checkpoint.training or {}), trainer)
        if self._group.ranks.first:
            for path in others:
                save_checkpoint(path, dataclasses.replace(checkpoint, training=None))
            save_checkpoint(self.last, checkpoint)
        trainer.saved = self.last
        self._group.advise(f"The newest checkpoint is {self.last}: start again with --resume {self.last}")

    def _checkpoint(self, trainer: Training) -> Checkpoint:
        parts, progress = trainer.parts, trainer.progress
        meta = {
            "version": __version__,
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "imgsz": parts.imgsz,
            "options": dataclasses.asdict(self._config),
            "hyp": dataclasses.asdict(parts.hyp),
            "progress": dataclasses.asdict(progress),
            "hooks": states_of(trainer.hooks),
        }
        state = parts.step.state.snapshot()
        return checkpoint_of(parts.network, parts.names, state.ema, training=state.training, meta=meta)
