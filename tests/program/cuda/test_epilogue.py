"""What follows convolutions: bias, activation and residual in place, and the bias's gradient."""

from __future__ import annotations

import numpy as np
import pytest

from tests.device import cuda_host
from tests.program.cuda.activations import ACTIVATIONS, VALUE
from tests.program.cuda.numbers import NEAR, PRECISIONS, MapShape, off, rounded

SHAPES = [
    MapShape(1, 1, 1, 1),
    MapShape(2, 5, 6, 13, first=8, pitch=40),
    MapShape(2, 3, 3, 300),
    MapShape(3, 21, 20, 8),
]


def numbers(seed: int, size: tuple[int, ...], precision: str = "fp32") -> np.ndarray:
    return rounded(np.random.default_rng(seed).normal(0.2, 2, size), precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ["", "Identity", "SiLU", "Sigmoid"])
@pytest.mark.parametrize(("biased", "added"), [(False, False), (True, False), (False, True), (True, True)])
def test_in_place(biased: bool, added: bool, activation: str, shape: MapShape, precision: str) -> None:
    target, residual = numbers(0, shape.size, precision), numbers(1, shape.size, precision)
    bias = numbers(2, (shape.channels,))
    whole = shape.buffer(target)
    whole[..., shape.first + shape.channels : shape.first + shape.lanes] = 3  # of a convolution that fills up nothing
    found = cuda_host().epilogue(
        precision,
        shape.first,
        shape.channels,
        whole,
        bias if biased else None,
        activation,
        VALUE,
        shape.buffer(residual) if added else None,
    )
    right = ACTIVATIONS[activation or "Identity"][0](target + bias * np.float64(biased), VALUE) + residual * added
    assert off(shape.read(found), right.reshape(-1, shape.channels)) <= NEAR[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_of_biases(shape: MapShape, precision: str) -> None:
    gradient, before = numbers(0, shape.size, precision), numbers(1, (shape.channels,))
    found = cuda_host().bias_gradient(precision, shape.first, shape.channels, shape.buffer(gradient), before)
    rows = gradient.reshape(-1, shape.channels).astype(np.float64)
    assert off(found, before + rows.sum(0), np.abs(rows).sum(0).max()) <= 1e-6
