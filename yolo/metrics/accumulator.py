"""Images in, one after the other; metrics out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from yolo.metrics.average_precision import DetectionMetrics, detection_metrics
from yolo.metrics.matching import check_rows, iou_thresholds, match_detections


class MetricAccumulator:
    """Collects images and computes ``DetectionMetrics`` from them.

    Accumulators of consecutive parts of a data set give, merged in order, exactly what one accumulator over
    the whole gives.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.images = 0
        self._correct: list[NDArray[np.bool_]] = []
        self._scores: list[NDArray[np.float32]] = []
        self._label_classes: list[NDArray[np.int64]] = []

    def update(self, detections: ArrayLike, labels: ArrayLike) -> NDArray[np.bool_]:
        """Add one image, and return its matches ``[n, 10]``.

        ``detections [n, 6]``: x1, y1, x2, y2, confidence, class; ``labels [m, 5]``: class, x1, y1, x2, y2;
        both in pixels of the original image. Raises ValueError for other shapes, a NaN confidence, or a
        class outside ``num_classes``.
        """
        detections, labels = check_rows(detections, labels)
        for classes in (detections[:, 5], labels[:, 0]):
            if len(classes) and not (classes.min() >= 0 and classes.max() < self.num_classes):
                raise ValueError(f"a class lies outside 0…{self.num_classes - 1}")
        correct = match_detections(detections, labels)
        self.images += 1
        self._correct.append(correct)
        self._scores.append(detections[:, 4:6].copy())
        self._label_classes.append(labels[:, 0].astype(np.int64))
        return correct

    def state(self) -> dict[str, NDArray]:
        """All that was collected, as arrays: what ranks send each other. ``from_state`` reads it."""
        return {
            "num_classes": np.array(self.num_classes, np.int64),
            "pictures": np.array(self.images, np.int64),
            "correct": _concatenate(self._correct, np.zeros((0, len(iou_thresholds())), bool)),
            "scores": _concatenate(self._scores, np.zeros((0, 2), np.float32)),
            "label_classes": _concatenate(self._label_classes, np.zeros(0, np.int64)),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray]) -> MetricAccumulator:
        """The accumulator that ``state`` came from."""
        accumulator = cls(int(state["num_classes"]))
        accumulator.images = int(state["pictures"])
        accumulator._correct = [np.asarray(state["correct"], bool)]
        accumulator._scores = [np.asarray(state["scores"], np.float32)]
        accumulator._label_classes = [np.asarray(state["label_classes"], np.int64)]
        return accumulator

    @classmethod
    def merge(cls, parts: Sequence[MetricAccumulator]) -> MetricAccumulator:
        """One accumulator holding ``parts``' images, in that order; ValueError when the classes differ."""
        if len({part.num_classes for part in parts}) != 1:
            raise ValueError("merging needs one accumulator or more, all of one number of classes")
        merged = cls(parts[0].num_classes)
        for part in parts:
            merged.images += part.images
            merged._correct += part._correct
            merged._scores += part._scores
            merged._label_classes += part._label_classes
        return merged

    def compute(self) -> DetectionMetrics:
        """The metrics of all images so far; zeros when there are no labels or no detections."""
        state = self.state()
        return detection_metrics(
            state["correct"],
            state["scores"][:, 0],
            state["scores"][:, 1].astype(np.int64),
            state["label_classes"],
            num_classes=self.num_classes,
            images=self.images,
        )


def _concatenate(parts: list[NDArray], empty: NDArray) -> NDArray:
    return np.concatenate(parts) if parts else empty
