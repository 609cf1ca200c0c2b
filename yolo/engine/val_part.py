"""What one rank found in a validation: summed up it is what all found."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from yolo.metrics import DetectionMetrics, MetricAccumulator
from yolo.metrics.confusion import ConfusionMatrix

TIMED = ("preprocess", "inference", "nms")


@dataclasses.dataclass(frozen=True)
class Validation:
    """What a validation found. losses: (box, obj, cls), None without a loss; speed_ms: milliseconds a picture."""

    metrics: DetectionMetrics
    confusion: ConfusionMatrix
    losses: tuple[float, float, float] | None
    speed_ms: dict[str, float]
    pictures: int


class ValPart:
    """One rank's share while it is validated.

    losses: a row for each batch; seconds: by what was done; detections: for each picture rows [n, 6] in pixels, kept
    for another rank's listeners.
    """

    def __init__(self, classes: int) -> None:
        self.accumulator, self.confusion = MetricAccumulator(classes), ConfusionMatrix(classes)
        self.seconds = dict.fromkeys(TIMED, 0.0)
        self.losses: list[tuple[float, float, float]] = []
        self.detections: list[np.ndarray] = []

    def result(self) -> Validation:
        """The figures of what was seen so far."""
        pictures = self.accumulator.pictures
        speed = {name: 1000 * value / max(pictures, 1) for name, value in self.seconds.items()}
        mean = tuple(float(value) for value in np.mean(self.losses, axis=0)) if self.losses else None
        return Validation(self.accumulator.compute(), self.confusion, mean, speed, pictures)

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it, as ranks send it to each other."""
        return {
            **self.accumulator.state(),
            "confusion": self.confusion.matrix,
            "seconds": np.array([self.seconds[name] for name in TIMED]),
            "losses": np.array(self.losses, np.float64).reshape(-1, 3),
            "rows": np.concatenate([np.zeros((0, 6), np.float32), *self.detections]),
            "counts": np.array([len(rows) for rows in self.detections], np.int64),
        }


def joined(parts: Sequence[Mapping[str, np.ndarray]]) -> ValPart:
    """The shares of consecutive batches as one: exactly what one rank would have found."""
    accumulators = [MetricAccumulator.from_state(part) for part in parts]
    whole = ValPart(accumulators[0].num_classes)
    whole.accumulator = MetricAccumulator.merge(accumulators)
    whole.confusion.matrix += sum(part["confusion"] for part in parts)
    whole.seconds = dict(zip(TIMED, sum(part["seconds"] for part in parts).tolist()))
    whole.losses = [tuple(row) for part in parts for row in part["losses"].tolist()]
    return whole


def detections_of(part: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
    """Each picture's rows."""
    return iter(np.split(part["rows"], np.cumsum(part["counts"])[:-1]))
