"""Overlap of boxes on a device: all pairs as the CPU has them, the IoU family and its gradients by the formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.device import cuda_host
from tests.ops.test_iou import random_boxes
from yolo import native

EPS = 1e-7
KINDS = ("iou", "giou", "diou", "ciou")


def reference(kind: str, a: np.ndarray, b: np.ndarray, alpha: np.ndarray | None = None) -> np.ndarray:
    """The values in float64; a, b: [n, 4] centre x, y, width, height. ``alpha``: CIoU's, where it stays constant."""
    low_a, high_a, low_b, high_b = (box[:, :2] + sign * box[:, 2:] / 2 for box in (a, b) for sign in (-1, 1))
    side = (np.minimum(high_a, high_b) - np.maximum(low_a, low_b)).clip(0)
    hull = np.maximum(high_a, high_b) - np.minimum(low_a, low_b)
    union = a[:, 2:].prod(1) + b[:, 2:].prod(1) - side.prod(1) + EPS
    iou = side.prod(1) / union
    if kind == "giou":
        whole = hull.prod(1) + EPS
        return iou - (whole - union) / whole
    if kind == "iou":
        return iou
    away = ((a[:, :2] - b[:, :2]) ** 2).sum(1) / ((hull**2).sum(1) + EPS)
    if kind == "diou":
        return iou - away
    aspect, found = ciou_alpha(a, b, iou)
    return iou - away - aspect * (found if alpha is None else alpha)


def ciou_alpha(a: np.ndarray, b: np.ndarray, iou: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    turn = np.arctan(b[:, 2] / (b[:, 3] + EPS)) - np.arctan(a[:, 2] / (a[:, 3] + EPS))
    aspect = 4 / math.pi**2 * turn**2
    return aspect, aspect / (aspect - iou + 1 + EPS)


def random_pairs(n: int, seed: int, spread: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a, b = (np.hstack([rng.uniform(0, spread, (n, 2)), rng.uniform(0.3, 4, (n, 2))]) for _ in range(2))
    return a.astype(np.float32), b.astype(np.float32)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 13), (8, 3), (65, 3), (130, 71), (0, 5), (5, 0), (0, 0)])
def test_all_pairs_are_the_cpus(n: int, m: int) -> None:
    rng = np.random.default_rng(n + m)
    a, b = random_boxes(rng, n, 640), random_boxes(rng, m, 640)
    np.testing.assert_array_equal(cuda_host().pairwise_iou(a, b), native.pairwise_iou(a, b))


def test_pairs_of_odd_numbers_are_the_cpus() -> None:
    numbers = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 1, -1, 3e38, 1e-40], np.float32)
    boxes = np.random.default_rng(3).choice(numbers, (300, 4))
    np.testing.assert_array_equal(cuda_host().pairwise_iou(boxes, boxes[:50]), native.pairwise_iou(boxes, boxes[:50]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", [0.1, 3.0, 30.0])
def test_values_and_gradients_are_those_of_the_formula(kind: str, spread: float) -> None:
    a, b = random_pairs(400, 1, spread)
    values, gradient = cuda_host().overlap(kind, a, b)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    np.testing.assert_allclose(values, reference(kind, wide_a, wide_b), rtol=1e-6, atol=1e-7)
    alpha = ciou_alpha(wide_a, wide_b, reference("iou", wide_a, wide_b))[1]
    step = 1e-6
    for column in range(4):
        move = np.eye(4)[column] * step
        ahead, behind = (reference(kind, wide_a + sign * move, wide_b, alpha) for sign in (1, -1))
        slope = (ahead - behind) / (2 * step)
        np.testing.assert_allclose(gradient[:, column], slope, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(cuda_host().overlap(kind, a, b, gradient=False), values)


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_that_are_equal_apart_or_nothing(kind: str) -> None:
    a = np.array([[5, 5, 2, 4], [0, 0, 1, 1], [3, 3, 0, 0], [1, 1, 0, 5]], np.float32)
    b = np.array([[5, 5, 2, 4], [9, 0, 1, 1], [3, 3, 0, 0], [1, 1, 5, 0]], np.float32)
    values, gradient = cuda_host().overlap(kind, a, b)
    expected = reference(kind, a.astype(np.float64), b.astype(np.float64))
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-7)
    assert np.isfinite(gradient).all()
    assert values[0] == pytest.approx(1, abs=1e-6) and gradient[0, :2].tolist() == [0, 0]
    assert (gradient[1, 0] > 0) == (kind != "iou")  # what is apart is drawn near


@pytest.mark.parametrize("kind", KINDS)
def test_no_boxes(kind: str) -> None:
    none = np.zeros((0, 4), np.float32)
    values, gradient = cuda_host().overlap(kind, none, none)
    assert values.shape == (0,) and gradient.shape == (0, 4)
