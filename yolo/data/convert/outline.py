"""Outlines of several parts as one, as a YOLO label wants it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MOST_PAIRS = 1 << 20
"""Of points at once: two outlines of 100,000 points would take 160 GB."""


def joined(parts: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """One outline ``x, y, x, y, …`` that goes round all ``parts``; () when there is none.

    Each further part is entered and left at the pair of points where it is nearest to what is joined so far, so the
    bridge between them has no area.
    """
    outline: NDArray[np.float64] | None = None
    for part in parts:
        points = np.asarray(part, np.float64).reshape(-1, 2)
        outline = points if outline is None else _bridged(outline, points)
    return () if outline is None else tuple(outline.ravel().tolist())


def _bridged(outline: NDArray[np.float64], part: NDArray[np.float64]) -> NDArray[np.float64]:
    leave, enter = _nearest(outline, part)
    round_trip = np.concatenate([np.roll(part, -enter, axis=0), part[enter : enter + 1]])
    return np.concatenate([outline[: leave + 1], round_trip, outline[leave:]])


def _nearest(outline: NDArray[np.float64], part: NDArray[np.float64]) -> tuple[int, int]:
    """The first pair of points that are nearest to each other."""
    best, pair = np.inf, (0, 0)
    rows = max(_MOST_PAIRS // len(part), 1)
    for begin in range(0, len(outline), rows):
        with np.errstate(over="ignore"):  # numbers that no image has
            distances = ((outline[begin : begin + rows, None] - part[None]) ** 2).sum(2)
        row, column = divmod(int(distances.argmin()), len(part))
        if distances[row, column] < best:
            best, pair = distances[row, column], (begin + row, column)
    return pair
