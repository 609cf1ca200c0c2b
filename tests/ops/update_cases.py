"""Vectors to update, and the formulas of an update in double precision."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from graphs.update import OPTIMIZERS, Rates

DECAY = 0.05
# Norms of the gradient from step to step: below 10, above, exactly, none at all.
NORMS = (3.0, 200.0, 10.0, 0.0, 1e3)
RATES = [
    Rates(0.1, 0.01, 0.02, 0.8, 0.0, 1),
    Rates(0.08, 0.02, 0.02, 0.85, 0.3, 2),
    Rates(0.05, 0.03, 0.01, 0.9, 0.5, 3),
    Rates(0.04, 0.04, 0.04, 0.937, 0.9, 4),
    Rates(0.0, 0.03, 0.05, 0.937, 0.99, 5),
]
# bias, weight, norm, statistics: odd numbers, groups that are empty, more than one piece of work a group.
SIZES = [(0, 1, 0, 0), (1, 1, 1, 0), (3, 9, 2, 3), (17, 0, 0, 1), (0, 0, 17, 5), (3, 100003, 40001, 17), (0, 0, 0, 3)]
each_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS)


@dataclasses.dataclass
class Vectors:
    """What one training run keeps, and the sizes that tell its parts apart."""

    values: np.ndarray
    gradient: np.ndarray
    first: np.ndarray
    second: np.ndarray
    ema: np.ndarray
    groups: tuple
    optimizer: str

    @classmethod
    def random(cls, sizes, optimizer, seed=0):
        rng = np.random.default_rng(seed)
        size, count = sum(sizes), sum(sizes[:3])
        values, ema = (rng.normal(0, 1, size).astype(np.float32) for _ in "ve")
        zeros = [np.zeros(n, np.float32) for n in (count, count, 1 if optimizer == "SGD" else count)]
        return cls(values, *zeros, ema, sizes[:3], optimizer)

    def state(self):
        return {name: getattr(self, name) for name in ("values", "gradient", "first", "second", "ema")}


class Reference:
    """Clipping, PyTorch's SGD (Nesterov), Adam and AdamW and the EMA in double precision."""

    def __init__(self, vectors) -> None:
        self.optimizer, self.groups = vectors.optimizer, vectors.groups
        self.values, self.ema = vectors.values.astype(np.float64), vectors.ema.astype(np.float64)
        self.first, self.second = np.zeros(len(vectors.first)), np.zeros(len(vectors.second))
        # What float32 can settle: not where gradient and decay once cancelled and Adam divided by the rest.
        self.sure = np.ones(len(vectors.values), bool)

    def update(self, gradient, rates):
        norm = np.sqrt((gradient**2).sum())
        slope = gradient * min(1.0, 10.0 / (norm + 1e-6))
        rate = np.repeat(rates[:3], self.groups)
        decay = np.repeat([0.0, DECAY, 0.0], self.groups)
        count, momentum = len(gradient), rates[3]
        weights = self.values[:count]
        if self.optimizer == "AdamW":
            weights = weights * (1 - rate * decay)
        else:
            slope = slope + decay * weights
        if self.optimizer == "SGD":
            self.first = momentum * self.first + slope
            direction = slope + momentum * self.first
        else:
            self.first = momentum * self.first + (1 - momentum) * slope
            self.second = 0.999 * self.second + 0.001 * slope**2
            if self.optimizer == "Adam":
                self.sure[:count] &= self.second > 1e-10
            direction = self.first / rates[5] / (np.sqrt(self.second / rates[6]) + 1e-8)
        self.values[:count] = weights - rate * direction
        self.ema = self.ema * rates[4] + self.values * (1 - rates[4])
        return norm


def gradient_of_norm(rng, size, norm):
    gradient = rng.normal(size=size)
    return np.float32(gradient * norm / max(np.linalg.norm(gradient), 1e-9))
