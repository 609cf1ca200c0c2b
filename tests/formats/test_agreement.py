"""Two sets of detections are the same, differ at a threshold, or differ."""

from __future__ import annotations

import numpy as np
import pytest

from yolo.formats.agreement import Agreement, compare_detections, difference_of_heads, difference_of_predictions
from yolo.program.detection import NmsSettings

SETTINGS = NmsSettings(0.25, 0.5, 9)
TOLERANCE, SIDE = 1e-3, 100
ROWS = np.array([[10, 10, 30, 30, 0.9, 0], [50, 50, 90, 90, 0.8, 1], [10, 60, 30, 90, 0.5, 0]], np.float32)


def compared(ours: np.ndarray, theirs: np.ndarray, settings: NmsSettings = SETTINGS) -> Agreement:
    return compare_detections(ours, theirs, settings, TOLERANCE, SIDE)


def with_row(*row: float) -> np.ndarray:
    return np.concatenate([ROWS, np.array([row], np.float32)])


def test_the_same_in_another_order() -> None:
    moved = ROWS[::-1] + np.array([0.05, 0, 0, 0, 0.0002, 0], np.float32)
    found = compared(ROWS, moved)
    assert (found.ours, found.theirs, found.at_threshold, found.different) == (3, 3, 0, 0)
    assert found.difference == pytest.approx(0.0005, rel=0.01)


@pytest.mark.parametrize(
    ("row", "near"),
    [
        ((70, 10, 90, 30, 0.2511, 1), 1),  # its score is the threshold's
        ((70, 10, 90, 30, 0.4, 1), 0),
        ((10, 10, 30, 50, 0.4, 0), 1),  # overlaps the first by 0.5
        ((10, 10, 30, 50, 0.4, 1), 0),  # but not in its class
        ((10, 10, 30, 36, 0.4, 0), 0),
    ],
)
def test_one_that_only_one_side_has(row: tuple[float, ...], near: int) -> None:
    for pair in ((ROWS, with_row(*row)), (with_row(*row), ROWS)):
        found = compared(*pair)
        assert (found.at_threshold, found.different) == (near, 1 - near)


def test_two_that_suppress_one_another_and_two_classes_of_a_box() -> None:
    first, second = with_row(60, 10, 80, 30, 0.7, 1), with_row(60, 10, 80, 36, 0.7, 1)
    assert compared(first, second).at_threshold == 2
    assert compared(first, with_row(60, 10, 80, 30, 0.7, 0)).at_threshold == 2
    assert compared(first, with_row(60, 10, 80, 30, 0.7, 0)).different == 0
    assert compared(first, with_row(20, 10, 40, 30, 0.7, 0)).different == 2


def test_the_last_of_a_full_list() -> None:
    first, second = with_row(60, 10, 80, 30, 0.4, 1), with_row(40, 10, 48, 30, 0.4005, 1)
    assert compared(first, second).different == 2
    assert compared(first, second, NmsSettings(0.25, 0.5, 4)).at_threshold == 2


def test_nothing_on_either_side() -> None:
    empty = np.zeros((0, 6), np.float32)
    assert compared(empty, empty) == Agreement()
    assert compared(ROWS, empty).different == 3 and compared(empty, ROWS).different == 3


def test_sums_have_the_largest_difference() -> None:
    assert Agreement(0.1, 1, 2, 3, 4) + Agreement(0.2, 1, 1, 1, 1) == Agreement(0.2, 2, 3, 4, 5)


def test_units_of_the_differences() -> None:
    ours, theirs = np.array([0.5, -20], np.float32), np.array([0.51, -20.2], np.float32)
    assert difference_of_heads([ours], [theirs]) == pytest.approx(0.01, rel=1e-3)
    assert difference_of_heads([ours, ours[:1]], [ours, theirs[:1]]) == pytest.approx(0.01, rel=1e-3)
    assert difference_of_heads([ours], [ours * np.float32(np.nan)]) == np.inf
    assert difference_of_heads([ours], [theirs[:1]]) == np.inf
    ours = np.array([[[100, 100, 50, 50, 0.5, 0.5]]], np.float32)
    assert difference_of_predictions(ours, ours + np.float32([1, 0, 0, 0, 0, 0]), 200) == pytest.approx(0.005)
    assert difference_of_predictions(ours, ours + np.float32([1, 0, 0, 0, 0, 0.25]), 200) == pytest.approx(0.25)
    assert difference_of_predictions(ours, ours * np.float32(np.nan), 200) == np.inf
