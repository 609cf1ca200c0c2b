"""Shows images of rare and badly found classes more often."""

from __future__ import annotations

from typing import Any

import numpy as np

from yolo.data.image_weights import image_weights
from yolo.engine.hooks.base import EpochReport, Hook, Training


class ImageWeights(Hook):
    """Weighs the loader's images by what each class's mAP50-95 was when it was last measured; at first 0."""

    def __init__(self) -> None:
        self.maps: np.ndarray | None = None

    def state(self) -> dict[str, Any]:
        return {} if self.maps is None else {"maps": self.maps.tolist()}

    def load_state(self, state: dict[str, Any]) -> None:
        self.maps = np.array(state["maps"], np.float64)

    def before_epoch(self, trainer: Training, epoch: int) -> None:
        if self.maps is None:
            self.maps = np.zeros(len(trainer.parts.names))
        loader = trainer.parts.loader
        loader.weights = image_weights(loader.index.labels, self.maps)

    def after_epoch(self, trainer: Training, report: EpochReport) -> None:
        if report.validation is not None:
            metrics = report.validation.metrics
            # A class that the validation set lacks is taken for an average one (YOLOv5).
            self.maps = np.full(len(trainer.parts.names), metrics.map50_95, np.float64)
            self.maps[np.asarray(metrics.classes, np.int64)] = metrics.ap
