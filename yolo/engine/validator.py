"""Validation: every picture once, in order; metrics, losses and speed at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from yolo import ops
from yolo.data.batch import Batch
from yolo.data.loader import ValLoader
from yolo.engine.team import Team
from yolo.engine.tracer import Tracer
from yolo.engine.val_part import Validation, ValPart, detections_of, joined
from yolo.inference.runner import Detections, Runner
from yolo.loss import combine_terms
from yolo.program.detection import NmsSettings


def validation_settings(conf: float = 0.001, iou: float = 0.6, max_det: int = 300, *, single_cls: bool = False):
    """What counts as a detection in a validation: nearly everything, a box once for each likely class."""
    return NmsSettings(conf, iou, max_det, agnostic=single_cls, multi_label=True)


# Called for every batch with it and its detections: rows [n, 6] in pixels of the original pictures.
BatchListener = Callable[[Batch, list[np.ndarray]], None]


class Validator:
    """Measures a network on a loader's pictures.

    With a ``team`` the loader gives this rank's share of the batches; all ranks call ``run`` together and all get the
    result of the whole.
    """

    def __init__(
        self,
        runner: Runner,
        loader: ValLoader,
        classes: int,
        *,
        single_cls: bool = False,
        hybrid: bool = False,
        team: Team | None = None,
    ) -> None:
        """``runner`` has ``validation_settings``; it is a ``ValRunner`` where losses are wanted.

        With ``hybrid`` (and an ``EnsembleRunner``) the labels take part in the suppression and come out as detections.
        """
        self.runner, self.loader, self.classes, self.single_cls = runner, loader, classes, single_cls
        self._hybrid, self.team = hybrid, team
        self.tracer = Tracer()
        self._places = max((len(rows) for rows in loader.index.labels), default=1)

    def run(self, listeners: Sequence[BatchListener] = ()) -> Validation:
        """Go through all batches once; ``listeners`` see each with its detections, in order.

        With a team those of the first rank see all batches, the other ranks' without their pictures.
        """
        part = self._part(listeners)
        if self.team is None:
            return part.result()
        parts = self.team.links.tell(part.arrays())
        if self.team.ranks.first and listeners:
            self._tell_of_others(parts, listeners)
        return joined(parts).result()

    def _part(self, listeners: Sequence[BatchListener]) -> ValPart:
        """This rank's batches."""
        part = ValPart(self.classes)
        heard = self.team is None or self.team.ranks.first
        clock = time.perf_counter()
        for batch in self.tracer.watch("validation batch", "validation data", self.loader.batches()):
            clock = _lap(part.seconds, "preprocess", clock)
            found, loss = self._forward(batch)
            part.seconds["inference"] += found.network_seconds
            part.seconds["nms"] += found.nms_seconds
            clock = time.perf_counter()
            detections = self._detections(found, batch)
            clock = _lap(part.seconds, "nms", clock)
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
        found, terms = self.runner.validate(batch.images, batch.labels, self._places)
        return found, combine_terms(terms, self.runner.loss)

    def _detections(self, found: Detections, batch: Batch) -> list[np.ndarray]:
        """Boxes back in the original pictures."""
        result = []
        for picture, count, box in zip(found.rows, found.counts, batch.letterboxes):
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
