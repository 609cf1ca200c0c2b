"""``--close-mosaic``: the last epochs see whole images."""

from __future__ import annotations

from yolo.engine.hooks.base import Hook, Training


class CloseMosaic(Hook):
    """Tells the planner from which epoch on there is no mosaic; with a time limit that epoch may move."""

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs

    def before_epoch(self, trainer: Training, epoch: int) -> None:
        if self._epochs:
            trainer.parts.loader.planner.mosaic_end = trainer.schedule.epochs - self._epochs
