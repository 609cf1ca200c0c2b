"""Which class is taken for which."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from yolo.metrics.matching import check_rows
from yolo.ops import pairwise_iou


class ConfusionMatrix:
    """Counts ``matrix[predicted, actual]``, int64 ``[nc + 1, nc + 1]``; index ``nc`` is background.

    ``matrix[nc, c]`` counts labels of class c that nothing found, ``matrix[c, nc]`` detections of class c
    that lie on no label. Detections count above confidence ``conf``, pairs above IoU ``iou``, whatever their
    classes.
    """

    def __init__(self, num_classes: int, conf: float = 0.25, iou: float = 0.45) -> None:
        self.num_classes, self.conf, self.iou = num_classes, conf, iou
        self.matrix = np.zeros((num_classes + 1, num_classes + 1), np.int64)

    def update(self, detections: ArrayLike, labels: ArrayLike) -> None:
        """Add one image: ``detections [n, 6]`` and ``labels [m, 5]`` (class, xyxy), both in pixels.

        A detection keeps its best label, then a label its best detection, by IoU. Unlike YOLOv5's code, and
        as its matrix is read, false detections count in images without a match or without labels, too.
        Raises ValueError as ``match_detections`` does.
        """
        detections, labels = check_rows(detections, labels)
        detections = detections[detections[:, 4] > self.conf]
        # Rows of background for detections and labels without a partner.
        predicted = np.full(len(labels), self.num_classes)
        actual = np.full(len(detections), self.num_classes)
        found, label = self._pairs(np.nan_to_num(pairwise_iou(detections[:, :4], labels[:, 1:])))
        predicted[label] = detections[found, 5].astype(np.int64)
        alone = np.ones(len(detections), bool)
        alone[found] = False
        np.add.at(self.matrix, (predicted, labels[:, 0].astype(np.int64)), 1)
        np.add.at(self.matrix, (detections[alone, 5].astype(np.int64), actual[alone]), 1)

    def merge(self, other: ConfusionMatrix) -> None:
        """Add what ``other`` counted; ValueError when its classes or thresholds differ."""
        if (self.num_classes, self.conf, self.iou) != (other.num_classes, other.conf, other.iou):
            raise ValueError("these confusion matrices count different things")
        self.matrix += other.matrix

    def normalised(self) -> NDArray[np.float64]:
        """Each column (actual class) divided by its sum: fractions of what became of its labels."""
        return self.matrix / np.maximum(self.matrix.sum(0, keepdims=True), 1)

    def _pairs(self, iou: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Indices of partners: detections and labels, of ``iou [n, m]``."""
        if not iou.size:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        label = iou.shape[1] - 1 - iou[:, ::-1].argmax(1)
        best = iou[np.arange(len(iou)), label]
        order = np.argsort(-best, kind="stable")
        order = order[best[order] > self.iou]
        labels, first = np.unique(label[order], return_index=True)
        return order[first], labels
