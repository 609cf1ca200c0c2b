"""The plots of a training run: its labels, its first batches, its curves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from yolo.data.images import write_image
from yolo.engine.hooks.base import Hook, Training
from yolo.plots.batch import plot_batch
from yolo.plots.correlogram import plot_correlogram
from yolo.plots.labels import plot_labels
from yolo.plots.results import plot_results

if TYPE_CHECKING:
    from yolo.data.batch import Batch

DRAWN_BATCHES = 3


class Plots(Hook):
    """Writes ``labels.jpg``, ``labels_correlogram.jpg``, the first training batches, and ``results.png`` at the end."""

    def __init__(self, run: Path) -> None:
        self._run = run

    def before_train(self, trainer: Training) -> None:
        labels = trainer.parts.loader.index.labels.joined()
        plot_labels(labels, trainer.parts.names, self._run / "labels.jpg")
        plot_correlogram(labels, self._run / "labels_correlogram.jpg")

    def after_step(self, trainer: Training, step: int, batch: Batch, losses: np.ndarray) -> None:
        if step < DRAWN_BATCHES:
            image = plot_batch(batch.images, batch.labels, batch.paths, trainer.parts.names)
            write_image(self._run / f"train_batch{step}.jpg", image)

    def after_train(self, trainer: Training) -> None:
        plot_results(self._run / "results.csv", self._run / "results.png")
