"""Which images an epoch shows when rare and badly found classes are to come more often (``--image-weights``)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_DRAW = 2**32 - 4  # no image has this number, so the draw shares no stream with a sample


def class_weights(labels: Sequence[NDArray[np.float32]], classes: int) -> NDArray[np.float64]:
    """How rare each class is, ``[classes]``: one over the number of its labels, as shares of 1.

    A class without labels counts as one with a single label (YOLOv5).
    """
    counts = _counts(labels, classes).sum(0)
    rarity = 1 / np.maximum(counts, 1)
    return rarity / rarity.sum()


def image_weights(labels: Sequence[NDArray[np.float32]], maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """A weight for each image: over its labels the sum of class weight · (1 - mAP)² (YOLOv5).

    ``maps``: mAP50-95 of each class. Images without labels weigh nothing; where nothing weighs anything, all are 1.
    """
    wanted = class_weights(labels, len(maps)) * (1 - maps) ** 2
    weights = _counts(labels, len(maps)) @ wanted
    return weights if weights.sum() > 0 else np.ones(len(labels))


def draw(weights: NDArray[np.float64], seed: int, epoch: int) -> NDArray[np.int64]:
    """As many images as there are weights, each drawn with its weight's probability, with replacement."""
    rng = np.random.default_rng([seed, epoch, _DRAW])
    return rng.choice(len(weights), len(weights), p=weights / weights.sum())


def repeats(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each entry how often it came before."""
    by_value = np.argsort(order, kind="stable")
    ordered = order[by_value]
    first = np.searchsorted(ordered, ordered)
    found = np.empty_like(order)
    found[by_value] = np.arange(len(order)) - first
    return found


def _counts(labels: Sequence[NDArray[np.float32]], classes: int) -> NDArray[np.int64]:
    """``[images, classes]``: labels of each class."""
    return np.array([np.bincount(rows[:, 0].astype(np.int64), minlength=classes) for rows in labels])
