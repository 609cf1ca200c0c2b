"""Scales from observations."""

from __future__ import annotations

from yolo.program.int8.observe import Observations
from yolo.program.scales import Scale


class Ranges:
    """Gives the scale of values that are joined: bytes spread over all that was seen of them.

    Cutting extremes off gains nothing (COCO128, calibrated on either half of it): by the least squared error over the
    elements mAP50-95 falls; with the largest values of a fifth of the images cut off yolov5n's heads move by 2.0 %
    and not 2.2 %, but its mAP50-95 is 0.350 and 0.351, not 0.355 and 0.355.
    """

    def __init__(self, seen: Observations) -> None:
        self._seen = seen

    def __call__(self, values: frozenset[int]) -> Scale:
        extremes = [self._seen.extremes[value] for value in values]
        return Scale.of_range(min(rows[:, 0].min() for rows in extremes), max(rows[:, 1].max() for rows in extremes))
