"""Outlines of several parts as one, as a YOLO label wants it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


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
    distances = ((outline[:, None] - part[None]) ** 2).sum(2)
    leave, enter = np.unravel_index(distances.argmin(), distances.shape)
    round_trip = np.concatenate([np.roll(part, -enter, axis=0), part[enter : enter + 1]])
    return np.concatenate([outline[: leave + 1], round_trip, outline[leave:]])
