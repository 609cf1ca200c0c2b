"""The genetic search's next step: whose child, and how it differs. YOLOv5's rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from yolo.config.evolution import DIGITS, FACTORS, PARENTS, PROBABILITY, RANGES, SIGMA

_LEAST_WEIGHT = 1e-6


def choose_parent(fitness: Sequence[float], rng: Generator) -> int:
    """One of the five fittest, more likely the further it is above the worst of them. At least one must be there."""
    values = np.asarray(fitness, np.float64)
    best = np.argsort(-values, kind="stable")[:PARENTS]
    weights = values[best] - values[best].min() + _LEAST_WEIGHT
    return int(rng.choice(best, p=weights / weights.sum()))


def mutate(values: Mapping[str, float], rng: Generator) -> dict[str, float]:
    """A child: most values times a factor about 1, within their ranges. A value of 0 stays."""
    factors = _factors(np.array([RANGES[name].gain for name in values]), rng)
    return within_ranges({name: value * factor for (name, value), factor in zip(values.items(), factors)})


def within_ranges(values: Mapping[str, float]) -> dict[str, float]:
    """The values clipped to their ranges and rounded to five decimals."""
    return {
        name: round(float(min(max(value, RANGES[name].low), RANGES[name].high)), DIGITS)
        for name, value in values.items()
    }


def _factors(gains: NDArray[np.float64], rng: Generator) -> NDArray[np.float64]:
    """A factor for each value, at least one of them not 1."""
    while True:
        changed = rng.random(len(gains)) < PROBABILITY
        noise = rng.standard_normal(len(gains)) * rng.random() * SIGMA
        factors = (1 + gains * changed * noise).clip(*FACTORS)
        if (factors != 1).any():
            return factors
