"""Activations and their derivatives in float64, by their names in model files."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Function = Callable[[np.ndarray, float], np.ndarray]


def _sigmoid(u: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-u))


def _normal(u: np.ndarray) -> np.ndarray:
    return 0.5 + 0.5 * np.vectorize(math.erf)(u / math.sqrt(2))


def _softplus_tanh(u: np.ndarray) -> np.ndarray:
    return np.tanh(np.log1p(np.exp(u)))


ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "Identity": (lambda u, _: u, lambda u, _: np.ones_like(u)),
    "SiLU": (lambda u, _: u * _sigmoid(u), lambda u, _: _sigmoid(u) * (1 + u * (1 - _sigmoid(u)))),
    "ReLU": (lambda u, _: np.maximum(u, 0), lambda u, _: np.where(u > 0, 1.0, 0.0)),
    "ReLU6": (lambda u, _: np.clip(u, 0, 6), lambda u, _: np.where((u > 0) & (u < 6), 1.0, 0.0)),
    "LeakyReLU": (lambda u, a: np.where(u > 0, u, u * a), lambda u, a: np.where(u > 0, 1.0, a)),
    "Hardswish": (
        lambda u, _: u * np.clip(u + 3, 0, 6) / 6,
        lambda u, _: np.where(u < -3, 0, np.where(u > 3, 1, (2 * u + 3) / 6)),
    ),
    "Sigmoid": (lambda u, _: _sigmoid(u), lambda u, _: _sigmoid(u) * (1 - _sigmoid(u))),
    "Mish": (
        lambda u, _: u * _softplus_tanh(u),
        lambda u, _: _softplus_tanh(u) + u * (1 - _softplus_tanh(u) ** 2) * _sigmoid(u),
    ),
    "GELU": (
        lambda u, _: u * _normal(u),
        lambda u, _: _normal(u) + u * np.exp(-u * u / 2) / math.sqrt(2 * math.pi),
    ),
    "Tanh": (lambda u, _: np.tanh(u), lambda u, _: 1 - np.tanh(u) ** 2),
    "ELU": (lambda u, a: np.where(u > 0, u, a * np.expm1(u)), lambda u, a: np.where(u > 0, 1.0, a * np.exp(u))),
}
VALUE = 0.125
"""The slope or alpha of those that have one; exact in float32."""
