"""What a validation leaves in its folder: curves, the confusion matrix, and the first batches drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from yolo.data.images import write_image
from yolo.plots.batch import plot_batch
from yolo.plots.confusion import plot_confusion
from yolo.plots.curves import plot_curves

if TYPE_CHECKING:
    from yolo.data.batch import Batch
    from yolo.metrics import DetectionMetrics
    from yolo.metrics.confusion import ConfusionMatrix

DRAWN_BATCHES = 3


class BatchImages:
    """Call it with each batch and its detections: the first three become ``val_batch<i>_{labels,pred}.jpg``."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self._folder, self._names = folder, names
        self._drawn = 0

    def __call__(self, batch: Batch, detections: list[NDArray[np.float32]]) -> None:
        """detections: rows [n, 6] in pixels of the original images."""
        if self._drawn == DRAWN_BATCHES or not len(batch.images):  # another rank keeps its images to itself
            return
        shown = [in_batch_pixels(rows, box) for rows, box in zip(detections, batch.letterboxes)]
        for kind, rows in (("labels", batch.labels), ("pred", shown)):
            image = plot_batch(batch.images, rows, batch.paths, self._names)
            write_image(self._folder / f"val_batch{self._drawn}_{kind}.jpg", image)
        self._drawn += 1


def draw_validation(
    metrics: DetectionMetrics, confusion: ConfusionMatrix, names: tuple[str, ...], folder: Path
) -> None:
    """Write PR, F1, P and R curves and the confusion matrix."""
    plot_curves(metrics, names, folder)
    plot_confusion(confusion, names, folder / "confusion_matrix.png")


def in_batch_pixels(rows: NDArray[np.float32], box) -> NDArray[np.float32]:
    """Boxes from the original image back into the letterboxed one."""
    moved = rows.copy()
    moved[:, [0, 2]] = rows[:, [0, 2]] * box.ratio[1] + box.pad[0]
    moved[:, [1, 3]] = rows[:, [1, 3]] * box.ratio[0] + box.pad[1]
    return moved
