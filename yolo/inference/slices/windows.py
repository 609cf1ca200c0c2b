"""Where a large image is cut: windows of one size that overlap and cover it."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from yolo.config.values import MOST_OVERLAP, OVERLAP
from yolo.data.letterbox import Size
from yolo.errors import ConfigError
from yolo.inference.settings import check_range


@dataclasses.dataclass(frozen=True)
class Slicing:
    """Square windows of ``size`` pixels a side, each sharing at least ``overlap`` (0 to below 1) of it with the next.

    The last of a row or column ends with the image and is moved back for that, so that all have one shape; a side of
    the image that is no longer than ``size`` is not cut.
    """

    size: int
    overlap: float = 0.2

    def windows(self, image: Size) -> NDArray[np.int64]:
        """xyxy in pixels of an image of (height, width), ``[n, 4]``, row by row; of a small image the one of all."""
        rows, columns = (self._starts(side) for side in image)
        height, width = (min(side, self.size) for side in image)
        return np.array([[x, y, x + width, y + height] for y in rows for x in columns], np.int64)

    def _starts(self, side: int) -> list[int]:
        if side <= self.size:
            return [0]
        step = max(1, self.size - int(self.size * self.overlap))
        last = side - self.size
        return [*range(0, last, step), last]


def given_slicing(size: int | None, overlap: float) -> Slicing | None:
    """What the options say; None for no slices (a ``size`` of None or 0). Raises ConfigError out of range, and for an
    overlap of no slices.
    """
    check_range("overlap", overlap, 0, MOST_OVERLAP)
    if size is not None:
        check_range("slice", size, 0, whole=True)
    if size:
        return Slicing(int(size), float(overlap))
    if overlap != OVERLAP:
        raise ConfigError(f"is {overlap:g}, but nothing is cut", where="overlap", hint="give slice, too")
    return None
