"""Validation: every picture once, in order; metrics, losses and speed at the end."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np

from yolo import ops
from yolo.data.batch import Batch
from yolo.data.loader import ValLoader
from yolo.inference.forward import Forward, ForwardWithLoss
from yolo.loss import combine_terms
from yolo.metrics import DetectionMetrics, MetricAccumulator
from yolo.metrics.confusion import ConfusionMatrix


@dataclasses.dataclass(frozen=True)
class NmsSettings:
    """What NMS keeps. conf, iou: thresholds; max_det: most detections a picture."""

    conf: float = 0.001
    iou: float = 0.6
    max_det: int = 300


@dataclasses.dataclass(frozen=True)
class Validation:
    """What a validation found. losses: (box, obj, cls), None without a loss; speed_ms: milliseconds a picture."""

    metrics: DetectionMetrics
    confusion: ConfusionMatrix
    losses: tuple[float, float, float] | None
    speed_ms: dict[str, float]
    pictures: int


# Called for every batch with it and its detections: rows [n, 6] in pixels of the original pictures.
BatchListener = Callable[[Batch, list[np.ndarray]], None]


class Validator:
    """Measures a network on a loader's pictures."""

    def __init__(
        self, forward: Forward | ForwardWithLoss, loader: ValLoader, classes: int, nms: NmsSettings, single_cls: bool
    ) -> None:
        self.forward, self.loader, self.classes, self.nms = forward, loader, classes, nms
        self.single_cls = single_cls
        self._places = max((len(rows) for rows in loader.index.labels), default=1)

    def run(self, listeners: Sequence[BatchListener] = ()) -> Validation:
        """Go through all batches once; ``listeners`` see each with its detections."""
        accumulator, confusion = MetricAccumulator(self.classes), ConfusionMatrix(self.classes)
        seconds = dict.fromkeys(("preprocess", "inference", "nms"), 0.0)
        losses, pictures, compiled = [], 0, self.forward.compile_seconds
        clock = time.perf_counter()
        for batch in self.loader.batches():
            clock = _lap(seconds, "preprocess", clock)
            predictions, loss = self._predict(batch)
            clock = _lap(seconds, "inference", clock)
            detections = self._detections(predictions, batch)
            clock = _lap(seconds, "nms", clock)
            for rows, labels, box in zip(detections, batch.labels, batch.letterboxes):
                truth = _original_labels(labels, box)
                accumulator.update(rows, truth)
                confusion.update(rows, truth)
            for listener in listeners:
                listener(batch, detections)
            losses += [loss] if loss is not None else []
            pictures += len(batch.images)
            clock = time.perf_counter()
        seconds["inference"] -= self.forward.compile_seconds - compiled
        speed = {name: 1000 * value / max(pictures, 1) for name, value in seconds.items()}
        mean = tuple(float(value) for value in np.mean(losses, axis=0)) if losses else None
        return Validation(accumulator.compute(), confusion, mean, speed, pictures)

    def _predict(self, batch: Batch) -> tuple[np.ndarray, tuple | None]:
        if isinstance(self.forward, Forward):
            return self.forward.predict(batch.images), None
        predictions, terms = self.forward.predict(batch.images, batch.labels, self._places)
        return predictions, combine_terms(terms, self.forward.settings)

    def _detections(self, predictions: np.ndarray, batch: Batch) -> list[np.ndarray]:
        """NMS, and boxes back in the original pictures."""
        nms = self.nms
        rows, counts = ops.nms(
            predictions,
            conf=nms.conf,
            iou=nms.iou,
            max_det=nms.max_det,
            multi_label=True,
            agnostic=self.single_cls,
        )
        result = []
        for picture, count, box in zip(rows, counts, batch.letterboxes):
            kept = picture[:count].copy()
            kept[:, :4] = ops.scale_boxes(kept[:, :4], box)
            if self.single_cls:
                kept[:, 5] = 0
            result.append(kept)
        return result


def _lap(seconds: dict[str, float], name: str, since: float) -> float:
    now = time.perf_counter()
    seconds[name] += now - since
    return now


def _original_labels(labels: np.ndarray, box) -> np.ndarray:
    """Label rows of a letterboxed picture as class, x1, y1, x2, y2 in pixels of the original."""
    rows = ops.labels_to_xyxy(labels, box.size)
    rows[:, 1:] = ops.scale_boxes(rows[:, 1:], box)
    return rows
