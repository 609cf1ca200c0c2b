"""Labels of a data set beside what a model finds on its images; `yolo.metrics.disagreement` has the scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from yolo import ops
from yolo.class_names import ClassNames, class_order
from yolo.data.audit.scan import Seen
from yolo.data.image_file import ImageFile
from yolo.errors import ConfigError, DataError
from yolo.inference.detector import Detector
from yolo.inference.sources.base import Frame, Task
from yolo.metrics.disagreement import (
    KINDS,
    Disagreement,
    Pairing,
    Reliability,
    disagreements,
    image_score,
    pair,
)

FLOOR: Final = 0.01
"""The confidence from which on a detection supports a label."""
CERTAIN: Final = 0.5
"""The score from which on a finding is counted as a likely error."""


@dataclass(frozen=True, eq=False)
class AuditedImage:
    """An image, its labels and detections, and where they disagree, the worst first."""

    seen: Seen
    split: str
    pairing: Pairing
    found: tuple[Disagreement, ...]

    @property
    def score(self) -> float:
        return image_score(self.found)

    def line(self, label: int) -> int | None:
        """The line of a label in its file; None where that is no label file of YOLO's."""
        return self.seen.labels.lines[label] if self.seen.label_file.suffix == ".txt" else None


@dataclass(frozen=True, eq=False)
class LabelAudit:
    """Images with labels, worst first; names of the data set's classes; the confidence of what contradicts."""

    images: Sequence[AuditedImage]
    names: tuple[str, ...]
    conf: float

    def findings(self) -> list[tuple[AuditedImage, Disagreement]]:
        """All of them, the highest score first."""
        every = [(image, one) for image in self.images for one in image.found]
        return sorted(every, key=lambda pair: -pair[1].score)

    def by_class(self) -> dict[str, dict[str, int]]:
        """Class name -> ``labels`` and the number of findings of each kind; what is missed by the detected class."""
        counts: dict[int, Counter] = {number: Counter() for number in range(len(self.names))}
        for image in self.images:
            for row in image.pairing.labels:
                counts[int(row[0])]["labels"] += 1
            for one in image.found:
                counts[class_of(image, one)][one.kind] += 1
        return {self.names[n]: {key: count[key] for key in ("labels", *KINDS)} for n, count in counts.items()}


def class_of(image: AuditedImage, one: Disagreement) -> int:
    """The label's class; of what is missed the detection's."""
    rows = image.pairing
    return int(rows.detections[one.detection, 5] if one.label is None else rows.labels[one.label, 0])


def open_detector(names: ClassNames, weights: Sequence[str], **options: Any) -> tuple[Detector, NDArray[np.int64]]:
    """The detector, and the data set's number of each of its classes.

    Names are compared as `yolo.val` does. Raises ConfigError for another number of them, or names that contradict.
    """
    detector = Detector(list(weights), conf=FLOOR, **options)
    where = weights[0]
    if len(detector.names) != len(names.names):
        what = f"knows {len(detector.names)} classes, {names.where} has {len(names.names)}"
        raise ConfigError(what, where=where, hint="compare with weights that were trained on these classes")
    order = class_order(detector.names, names, where)
    numbers = np.arange(len(names.names))
    return detector, numbers if order is None else np.argsort(order)


def audit_labels(
    splits: Mapping[str, Sequence[Seen]],
    names: tuple[str, ...],
    detector: Detector,
    numbers: NDArray[np.int64],
    conf: float,
) -> LabelAudit:
    """Compare the labels of all usable images, each once, with what ``detector`` finds.

    ``numbers``: the names' number of each class of the detector. Raises DataError where there is no usable image.
    """
    chosen: dict[Path, tuple[str, Seen]] = {}
    for split, images in splits.items():
        for seen in filter(_fits, images):
            chosen.setdefault(seen.path, (split, seen))
    if not chosen:
        raise DataError("no usable image with readable labels", where=", ".join(splits) or None)
    size = max(detector.imgsz)
    pairings: dict[Path, Pairing] = {}
    for path, rows in _detections(chosen, detector):
        rows[:, 5] = numbers[rows[:, 5].astype(int)]
        seen = chosen[path][1]
        pairings[path] = pair(rows, ops.labels_to_xyxy(seen.labels.rows, seen.shape), size / max(seen.shape))
    reliability = Reliability.of(pairings.values(), len(names))
    audited = []
    for path, pairing in pairings.items():
        split, seen = chosen[path]
        audited.append(AuditedImage(seen, split, pairing, tuple(disagreements(pairing, reliability, conf))))
    return LabelAudit(sorted(audited, key=lambda image: -image.score), names, conf)


def _fits(seen: Seen) -> bool:
    return seen.usable and seen.labels is not None and not seen.labels.out_of_range


def _detections(paths: Iterable[Path], detector: Detector) -> Iterator[tuple[Path, NDArray[np.float32]]]:
    tasks: Iterator[Task] = (partial(Frame, ImageFile(path), path, place) for place, path in enumerate(paths, 1))
    for frame, result in detector.stream(tasks):
        yield frame.path, result.rows.copy()
