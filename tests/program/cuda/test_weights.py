"""Weights between the vectors of values and gradients and the order in which convolutions take them: bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.device import cuda_host
from tests.program.cuda.numbers import PRECISIONS, rounded

# Channels out and in, taps, groups.
SHAPES = [
    (1, 1, 1, 1),
    (16, 3, 36, 1),
    (24, 40, 9, 1),
    (13, 21, 9, 1),
    (12, 12, 9, 12),
    (20, 12, 3, 4),
    (64, 300, 1, 1),
]


def pieces(count: int, parts: int) -> tuple[tuple[int, ...], np.ndarray, int]:
    """Rows of ``count`` numbers in a vector, in another order there; the place of each number; the vector's size."""
    ends = np.linspace(0, count, parts + 1).astype(int)
    at, rows, places = 5, {}, np.empty(count, int)
    for part in reversed(range(parts)):
        size = ends[part + 1] - ends[part]
        rows[part] = (at, size)
        places[ends[part] : ends[part + 1]] = np.arange(at, at + size)
        at += size + 3
    return tuple(int(number) for part in range(parts) for number in rows[part]), places, at


def whole(shape: tuple[int, int, int, int]) -> tuple[int, int]:
    """Channels of both sides with those that fill the last pack, which convolutions in groups have not."""
    out, source, _, groups = shape
    return (-(-out // 8) * 8, -(-source // 8) * 8) if groups == 1 else (out, source // groups)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_packed(shape: tuple[int, int, int, int], parts: int, precision: str) -> None:
    out, source, taps, groups = shape
    count = out * source // groups * taps
    rows, places, size = pieces(count, min(parts, count))
    values = np.random.default_rng(0).normal(0, 1, size).astype(np.float32)
    found = cuda_host().pack_weights(precision, values, rows, out, source, taps, groups)
    right = np.zeros((whole(shape)[0], taps, whole(shape)[1]), np.float32)
    weights = values[places].reshape(out, source // groups, taps)
    right[:out, :, : source // groups] = rounded(weights.transpose(0, 2, 1), precision)
    np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_added(shape: tuple[int, int, int, int], parts: int) -> None:
    out, source, taps, groups = shape
    inner = source // groups
    rows, places, size = pieces(out * inner * taps, min(parts, out * inner * taps))
    rng = np.random.default_rng(0)
    packed = rng.normal(0, 1, (whole(shape)[0], taps, whole(shape)[1])).astype(np.float32)
    before = rng.normal(0, 1, size).astype(np.float32)
    found = cuda_host().with_weight_gradient(packed, before, rows, out, source, groups)
    right = before.copy()
    right[places] += packed[:out, :, :inner].transpose(0, 2, 1).reshape(-1)
    np.testing.assert_array_equal(found, right)
