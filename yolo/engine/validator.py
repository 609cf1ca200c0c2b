"""Validation: every image once, in order; metrics, losses and speed at the end."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from yolo import ops
from yolo.data.batch import Batch
from yolo.data.images import read_image
from yolo.data.loader import ValLoader
from yolo.distributed.process_group import LONE, ProcessGroup
from yolo.engine.tracer import Tracer
from yolo.inference.pipeline import Prefetcher, worker_count
from yolo.inference.runner import Detections, Runner
from yolo.inference.slices.slicer import Slicer
from yolo.loss.reference import combine_terms
from yolo.metrics import DetectionMetrics, MetricAccumulator
from yolo.metrics.confusion import ConfusionMatrix
from yolo.program.detection import NmsSettings

TIMED = ("preprocess", "inference", "nms")


def validation_settings(conf: float = 0.001, iou: float = 0.6, max_det: int = 300, *, single_cls: bool = False):
    """What counts as a detection in a validation: nearly everything, a box once for each likely class."""
    return NmsSettings(conf, iou, max_det, agnostic=single_cls, multi_label=True)


# Called for every batch with it and its detections: rows [n, 6] in pixels of the original images.
BatchListener = Callable[[Batch, list[np.ndarray]], None]


@dataclasses.dataclass(frozen=True)
class Validation:
    """What a validation found. losses: (box, obj, cls), None without a loss; speed_ms: milliseconds an image."""

    metrics: DetectionMetrics
    confusion: ConfusionMatrix
    losses: tuple[float, float, float] | None
    speed_ms: dict[str, float]
    images: int


class PartialValidation:
    """One rank's share while it is validated.

    losses: a row for each batch; seconds: by what was done; detections: for each image rows [n, 6] in pixels, kept
    for another rank's listeners.
    """

    def __init__(self, classes: int) -> None:
        self.accumulator, self.confusion = MetricAccumulator(classes), ConfusionMatrix(classes)
        self.seconds = dict.fromkeys(TIMED, 0.0)
        self.losses: list[tuple[float, float, float]] = []
        self.detections: list[np.ndarray] = []

    def result(self) -> Validation:
        """The figures of what was seen so far."""
        images = self.accumulator.images
        speed = {name: 1000 * value / max(images, 1) for name, value in self.seconds.items()}
        mean = tuple(float(value) for value in np.mean(self.losses, axis=0)) if self.losses else None
        return Validation(self.accumulator.compute(), self.confusion, mean, speed, images)

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


class Validator:
    """Measures a network on a loader's images.

    Of several ranks the loader gives this one's share of the batches; all call ``run`` together and all get the result
    of the whole.
    """

    def __init__(
        self,
        runner: Runner,
        loader: ValLoader,
        classes: int,
        *,
        single_cls: bool = False,
        hybrid: bool = False,
        slicer: Slicer | None = None,
        group: ProcessGroup = LONE,
    ) -> None:
        """``runner`` has ``validation_settings``; it is a ``ValRunner`` where losses are wanted.

        With ``hybrid`` (and an ``EnsembleRunner``) the labels take part in the suppression and come out as detections.
        A ``slicer`` looks at the original images in slices, too.
        """
        self.runner, self.loader, self.classes, self.single_cls = runner, loader, classes, single_cls
        self._hybrid, self._slicer, self._group = hybrid, slicer, group
        self.tracer = Tracer()
        self._max_labels = int(loader.index.labels.counts.max(initial=0))

    def run(self, listeners: Sequence[BatchListener] = ()) -> Validation:
        """Go through all batches once; ``listeners`` see each with its detections, in order.

        Of several ranks those of the first rank see all batches, the other ranks' without their images.
        """
        parts = self._group.all_gather(self._part(listeners).arrays())
        if self._group.ranks.first and listeners:
            self._tell_of_others(parts, listeners)
        return joined(parts).result()

    def _part(self, listeners: Sequence[BatchListener]) -> PartialValidation:
        """This rank's batches."""
        part, heard = PartialValidation(self.classes), self._group.ranks.first
        clock = time.perf_counter()
        for batch in self.tracer.watch("validation batch", "validation data", self.loader.batches()):
            clock = _lap(part.seconds, "preprocess", clock)
            found, loss = self._forward(batch)
            part.seconds["inference"] += found.network_seconds
            part.seconds["nms"] += found.nms_seconds
            clock = time.perf_counter()
            detections = found.in_originals(batch.letterboxes)
            clock = _lap(part.seconds, "nms", clock)
            if self._slicer is not None:
                detections = self._in_slices(self._slicer, batch, detections, part.seconds)
            if self.single_cls:
                for rows in detections:
                    rows[:, 5] = 0
            for rows, labels, box in zip(detections, batch.labels, batch.letterboxes):
                truth = _original_labels(labels, box)
                part.accumulator.update(rows, truth)
                part.confusion.update(rows, truth)
            for listener in listeners if heard else ():
                listener(batch, detections)
            part.detections += detections if listeners and not heard else []
            part.losses += [loss] if loss is not None else []
            clock = time.perf_counter()
        return part

    @staticmethod
    def _in_slices(
        slicer: Slicer, batch: Batch, whole: list[np.ndarray], seconds: dict[str, float]
    ) -> list[np.ndarray]:
        """The detections with those of slices, for which threads read the images once more."""
        begin, workers = time.perf_counter(), worker_count()
        tasks = [functools.partial(read_image, path) for path in batch.paths]
        with Prefetcher(tasks, workers, 2 * workers) as originals:
            detections, spent = slicer.refine(originals, whole)
        spent["preprocess"] += time.perf_counter() - begin - sum(spent.values())
        for name in TIMED:
            seconds[name] += spent[name]
        return detections

    def _tell_of_others(self, parts: Sequence[Mapping[str, np.ndarray]], listeners: Sequence[BatchListener]) -> None:
        for rank, part in enumerate(parts[1:], 1):
            rows = detections_of(part)
            for batch in self.loader.described(rank):
                detections = [next(rows) for _ in batch.indices]
                for listener in listeners:
                    listener(batch, detections)

    def _forward(self, batch: Batch) -> tuple[Detections, tuple | None]:
        if self.runner.loss is None:
            return self.runner.detect(batch.images, batch.labels if self._hybrid else ()), None
        found, terms = self.runner.validate(batch.images, batch.labels, self._max_labels)
        return found, combine_terms(terms, self.runner.loss)


def _lap(seconds: dict[str, float], name: str, since: float) -> float:
    now = time.perf_counter()
    seconds[name] += now - since
    return now


def _original_labels(labels: np.ndarray, box) -> np.ndarray:
    """Label rows of a letterboxed image as class, x1, y1, x2, y2 in pixels of the original."""
    rows = ops.labels_to_xyxy(labels, box.size)
    rows[:, 1:] = ops.scale_boxes(rows[:, 1:], box)
    return rows


def joined(parts: Sequence[Mapping[str, np.ndarray]]) -> PartialValidation:
    """The shares of consecutive batches as one: exactly what one rank would have found."""
    accumulators = [MetricAccumulator.from_state(part) for part in parts]
    whole = PartialValidation(accumulators[0].num_classes)
    whole.accumulator = MetricAccumulator.merge(accumulators)
    whole.confusion.matrix += sum(part["confusion"] for part in parts)
    whole.seconds = dict(zip(TIMED, sum(part["seconds"] for part in parts).tolist()))
    whole.losses = [tuple(row) for part in parts for row in part["losses"].tolist()]
    return whole


def detections_of(part: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
    """Each image's rows."""
    return iter(np.split(part["rows"], np.cumsum(part["counts"])[:-1]))
