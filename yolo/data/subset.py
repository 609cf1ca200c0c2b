"""A part of an index."""

from __future__ import annotations

import numpy as np

from yolo.data.records import Index
from yolo.errors import ConfigError


def take_fraction(index: Index, fraction: float) -> Index:
    """``fraction`` (0 to 1) of the images, at even distances in the order of the index.

    The same images whatever the seed. Neighbours in that order are often alike (frames of a video), so even
    distances keep more of the variety than the first images would. Raises ConfigError when nothing is left.
    """
    count = round(len(index) * fraction)
    if count < 1:
        raise ConfigError(
            f"is {fraction:g}, which leaves none of {len(index)} images", where="--fraction", hint="give more"
        )
    if count == len(index):
        return index
    chosen = np.arange(count) * len(index) // count
    return index.take(chosen)
