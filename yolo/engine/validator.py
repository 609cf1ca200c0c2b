"""Validation: every picture once, in order; metrics, losses and speed at the end."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np

from yolo import ops
from yolo.data.batch import Batch
from yolo.data.loader import ValLoader
from yolo.inference.forward import Detections, Forward
from yolo.loss import combine_terms
from yolo.metrics import DetectionMetrics, MetricAccumulator
from yolo.metrics.confusion import ConfusionMatrix
from yolo.program.detection import NmsSettings


def validation_settings(conf: float = 0.001, iou: float = 0.6, max_det: int = 300, *, single_cls: bool = False):
    """What counts as a detection in a validation: nearly everything, a box once for each likely class."""
    return NmsSettings(conf, iou, max_det, agnostic=single_cls, multi_label=True)


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

    def __init__(self, forward: Forward, loader: ValLoader, classes: int, *, single_cls: bool = False) -> None:
        """``forward`` has ``validation_settings``, and a loss where losses are wanted."""
        self.forward, self.loader, self.classes, self.single_cls = forward, loader, classes, single_cls
        self._places = max((len(rows) for rows in loader.index.labels), default=1)

    def run(self, listeners: Sequence[BatchListener] = ()) -> Validation:
        """Go through all batches once; ``listeners`` see each with its detections."""
        accumulator, confusion = MetricAccumulator(self.classes), ConfusionMatrix(self.classes)
        seconds = dict.fromkeys(("preprocess", "inference", "nms"), 0.0)
        losses, pictures, compiled = [], 0, self.forward.compile_seconds
        clock = time.perf_counter()
        for batch in self.loader.batches():
            clock = _lap(seconds, "preprocess", clock)
            suppressing = self.forward.nms_seconds
            found, loss = self._forward(batch)
            suppressing = self.forward.nms_seconds - suppressing
            clock = _lap(seconds, "inference", clock)
            seconds["inference"] -= suppressing
            seconds["nms"] += suppressing
            detections = self._detections(found, batch)
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

    def _forward(self, batch: Batch) -> tuple[Detections, tuple | None]:
        if self.forward.loss is None:
            return self.forward.detect(batch.images), None
        found, terms = self.forward.validate(batch.images, batch.labels, self._places)
        return found, combine_terms(terms, self.forward.loss)

    def _detections(self, found: Detections, batch: Batch) -> list[np.ndarray]:
        """Boxes back in the original pictures."""
        result = []
        for picture, count, box in zip(*found, batch.letterboxes):
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
