"""Anchors fitted to a data set's boxes: recall, k-means and a genetic search; NumPy and SciPy only.

The rules and their constants are YOLOv5's. An anchor fits a box when neither side differs by a factor of ``anchor_t``
or more: the same rule by which the loss assigns boxes to anchors (``yolo.loss.matching``).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans

from yolo.data.records import Index

Floats = NDArray[np.float64]

LEAST_SIDE = 2.0
"""Pixels; boxes with both sides below play no part in fitting, and no anchor gets smaller."""
KMEANS_RUNS = 30
GENERATIONS = 1000
MUTATION_PROBABILITY, SIGMA, FACTOR_RANGE = 0.9, 0.1, (0.3, 3.0)
MOST_BOXES = 10_000
"""Boxes that the search looks at, drawn at random where there are more: it takes seconds and not minutes (COCO)."""
_TINY = 1e-9


@dataclasses.dataclass(frozen=True)
class Recall:
    """How well anchors fit boxes. best: the share of boxes with an anchor that fits; fits: anchors that fit a box."""

    best: float
    fits: float


def box_sizes(index: Index, imgsz: int, rng: Generator | None = None) -> Floats:
    """Width and height ``[n, 2]`` in pixels of all labels, in images resized to a longer side of ``imgsz``.

    With ``rng`` each image is scaled by a factor from [0.9, 1.1], as augmentation would.
    """
    images = index.shapes[:, ::-1] * (imgsz / index.shapes.max(1, keepdims=True).clip(1))
    if rng is not None:
        images = images * rng.uniform(0.9, 1.1, (len(images), 1))
    return index.labels.joined()[:, 3:5] * np.repeat(images, index.labels.counts, axis=0)


def recall(sizes: Floats, anchors: Floats, anchor_t: float) -> Recall:
    """Best possible recall of ``anchors [..., 2]`` on boxes ``sizes [n, 2]``, n > 0, both in pixels."""
    fits = _distances(np.log(sizes.clip(_TINY)), np.log(anchors.reshape(-1, 2).clip(_TINY))) < math.log(anchor_t)
    return Recall(float(fits.any(0).mean()), float(fits.sum(0).mean()))


def fit_anchors(
    sizes: Floats, count: int, anchor_t: float, rng: Generator, *, generations: int = GENERATIONS
) -> Floats:
    """Anchors ``[count, 2]`` in pixels for boxes ``sizes [n, 2]``, from small to large.

    Raises ValueError where no box has a side of 2 pixels.
    """
    sizes = sizes[(sizes >= LEAST_SIDE).any(1)]
    if not len(sizes):
        raise ValueError(f"no box has a side of {LEAST_SIDE:g} pixels")
    if len(sizes) > MOST_BOXES:
        sizes = sizes[rng.choice(len(sizes), MOST_BOXES, replace=False)]
    anchors = _evolved(sizes, _clustered(sizes, count, rng), anchor_t, rng, generations)
    return anchors[np.argsort(anchors.prod(1), kind="stable")]


def fitness(sizes: Floats, anchors: Floats, anchor_t: float) -> float:
    """Mean over the boxes of the best anchor's worse side ratio (at most 1), 0 where none fits."""
    return _fitness(np.log(sizes.clip(_TINY)), anchors, math.log(anchor_t))


def by_level(anchors: Floats, strides: tuple[int, ...]) -> NDArray[np.float32]:
    """Anchors ``[nl * na, 2]``, small to large, as float32 ``[nl, na, 2]``: small ones to the finest level."""
    levels = anchors.reshape(len(strides), -1, 2)
    return levels[np.argsort(np.argsort(strides, kind="stable"), kind="stable")].astype(np.float32)


def _distances(sizes: Floats, anchors: Floats) -> Floats:
    """From logarithms: that of the worse side ratio (at least 1) of every anchor and box, ``[k, n]``."""
    return np.maximum(*(np.abs(anchors[:, axis, None] - sizes[:, axis]) for axis in (0, 1)))


def _fitness(logs: Floats, anchors: Floats, limit: float) -> float:
    nearest = _distances(logs, np.log(anchors)).min(0)
    return float(np.where(nearest < limit, np.exp(-nearest), 0).mean())


def _clustered(sizes: Floats, count: int, rng: Generator) -> Floats:
    """``count`` centres of the boxes by k-means; where there are too few different boxes, some near these."""
    spread = sizes.std(0)
    spread[spread <= _TINY] = 1.0
    seed = int(rng.integers(2**31))
    centres = kmeans(sizes / spread, min(count, len(np.unique(sizes, axis=0))), iter=KMEANS_RUNS, seed=seed)[0] * spread
    missing = count - len(centres)
    near = centres[rng.integers(len(centres), size=missing)] * rng.uniform(0.5, 2.0, (missing, 2))
    return np.concatenate([centres, near]).clip(LEAST_SIDE)


def _evolved(sizes: Floats, anchors: Floats, anchor_t: float, rng: Generator, generations: int) -> Floats:
    """The fittest of ``generations`` descendants, each a change at random of the fittest before it."""
    logs, limit = np.ascontiguousarray(np.log(sizes.clip(_TINY)), np.float32), math.log(anchor_t)
    best = _fitness(logs, anchors, limit)
    for _ in range(generations):
        child = (anchors * _factors(rng, anchors.shape)).clip(LEAST_SIDE)
        fit = _fitness(logs, child.astype(np.float32), limit)
        if fit > best:
            anchors, best = child, fit
    return anchors


def _factors(rng: Generator, shape: tuple[int, ...]) -> Floats:
    """Factors about 1, at least one of them not 1."""
    while True:
        changed = rng.random(shape) < MUTATION_PROBABILITY
        factors = (1 + changed * rng.random() * rng.standard_normal(shape) * SIGMA).clip(*FACTOR_RANGE)
        if (factors != 1).any():
            return factors
