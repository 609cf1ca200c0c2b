"""``pairwise_iou`` against the formula in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.samples import any_floats
from tests.reference import iou as reference
from yolo.ops import pairwise_iou


def random_boxes(rng: np.random.Generator, n: int, span: float) -> np.ndarray:
    corners = rng.uniform(0, span, (n, 2))
    return np.hstack([corners, corners + rng.uniform(span / 50, span, (n, 2))]).astype(np.float32)


@pytest.mark.parametrize("n, m", [(1, 1), (7, 13), (65, 3), (300, 171)])
@pytest.mark.parametrize("span", [1, 640])
def test_equals_the_formula(n, m, span):
    rng = np.random.default_rng(n + m)
    a, b = random_boxes(rng, n, span), random_boxes(rng, m, span)
    result = pairwise_iou(a, b)
    assert result.dtype == np.float32 and result.shape == (n, m)
    np.testing.assert_allclose(result, reference.pairwise_iou(a, b), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("n, m", [(0, 0), (0, 5), (5, 0)])
def test_empty(n, m):
    assert pairwise_iou(np.zeros((n, 4), np.float32), np.zeros((m, 4), np.float32)).shape == (n, m)


def test_a_box_with_itself():
    box = np.array([[10, 20, 50, 90]], np.float32)
    assert pairwise_iou(box, box)[0, 0] == pytest.approx(1, abs=1e-6)


def test_known_values():
    a = np.array([[0, 0, 10, 10]], np.float32)
    b = np.array([[0, 0, 10, 5], [20, 0, 30, 10], [5, 5, 5, 5], [8, 8, 2, 2]], np.float32)
    np.testing.assert_allclose(pairwise_iou(a, b)[0], [0.5, 0, 0, 0], atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(n=st.integers(0, 5), m=st.integers(0, 5), data=st.data())
def test_anything_at_all_stays_with_its_own_pair(n, m, data):
    a, b = data.draw(any_floats((n, 4))), data.draw(any_floats((m, 4)))
    result = pairwise_iou(a, b)
    assert result.shape == (n, m)
    for i in range(n):
        for j in range(m):
            alone = pairwise_iou(a[i : i + 1], b[j : j + 1])
            np.testing.assert_array_equal(result[i : i + 1, j : j + 1], alone)


@pytest.mark.parametrize(
    "a, b, message",
    [
        (np.zeros((2, 5)), np.zeros((1, 4)), "a: expected .* got shape \\[2, 5\\]"),
        (np.zeros((2, 4)), np.zeros(4), "b: expected float32 boxes of shape \\[m, 4\\]"),
        (np.zeros((1, 2, 4)), np.zeros((1, 4)), "a: "),
    ],
)
def test_wrong_arguments_are_named(a, b, message):
    with pytest.raises(ValueError, match=message):
        pairwise_iou(a, b)
