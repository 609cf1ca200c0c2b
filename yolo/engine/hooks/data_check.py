"""A resumed run sees the data that it began with, or somebody is told."""

from __future__ import annotations

import logging
from typing import Any

from yolo.data.digest import index_digest
from yolo.engine.hooks.base import Hook, Training
from yolo.errors import DataError

logger = logging.getLogger("yolo")


class SameData(Hook):
    """Keeps a digest of the training images and labels in the checkpoints; compares it when a run is resumed."""

    def __init__(self) -> None:
        self._now: dict[str, Any] = {}
        self._before: dict[str, Any] = {}

    def state(self) -> dict[str, Any]:
        return self._now

    def load_state(self, state: dict[str, Any]) -> None:
        self._before = state

    def before_train(self, trainer: Training) -> None:
        """Raises DataError when an epoch has another number of batches: no step would be what it was."""
        batches = trainer.schedule.batches
        self._now = {"batches": batches, "digest": index_digest(trainer.parts.loader.index)}
        before = self._before or self._now
        if before.get("batches") != batches:
            raise DataError(
                f"has {batches} batches an epoch now and had {before.get('batches')} when this run began",
                where=trainer.parts.dataset.source,
                hint="restore the data set, or start a new run from the run's weights",
            )
        if before.get("digest") != self._now["digest"]:
            logger.warning(
                "the training images or labels are not what they were when this run began: "
                "its results will not be those of a run that was never stopped"
            )
