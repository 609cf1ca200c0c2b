"""What one request wants of the detections."""

from __future__ import annotations

import dataclasses

import numpy as np

from yolo.inference.detector import Detector
from yolo.inference.results import Result
from yolo.serving.limits import RefusedError


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A part of what the detector finds; None: as it was started.

    Behind the suppression this is what a suppression with the higher threshold would have given, since boxes are kept
    or dropped by more confident ones alone. That is not so for another IoU threshold, which a request cannot choose.
    """

    conf: float | None = None
    max_det: int | None = None
    classes: tuple[int, ...] | None = None

    def check(self, detector: Detector) -> None:
        """Raises RefusedError for what the detector was not started for."""
        if self.conf is not None and self.conf < detector.conf:
            raise RefusedError(422, f"conf: is {self.conf:g}; this server keeps nothing below {detector.conf:g}")
        if self.max_det is not None and self.max_det > detector.max_det:
            raise RefusedError(422, f"max_det: is {self.max_det}; this server keeps {detector.max_det} at most")
        for number in self.classes or ():
            if number not in (detector.classes or range(len(detector.names))):
                raise RefusedError(422, f"classes: {number} is none of this server's")

    def of(self, result: Result) -> Result:
        """The result with those detections alone, best first."""
        rows = result.rows
        if self.conf is not None:
            rows = rows[rows[:, 4] > np.float32(self.conf)]
        if self.classes is not None:
            rows = rows[np.isin(rows[:, 5], self.classes)]
        return dataclasses.replace(result, rows=rows[: self.max_det])
