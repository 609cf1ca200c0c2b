"""The rule of matching: a pair costs what it costs, and everything alone costs the limit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from yolo.tracking.matching import OTHER_CLASS, match, overlap_costs


def pairs(costs: object, limit: float) -> list[tuple[int, int]]:
    return list(zip(*(places.tolist() for places in match(np.array(costs, np.float64), limit))))


def test_what_stays_alone_costs_the_limit() -> None:
    """The limit as a filter behind the assignment would make two pairs of 0.5 here, and give up the one of 0.1."""
    costs = np.array([[0.1, 0.5], [0.5, 1.5]])
    assert pairs(costs, 0.8) == [(0, 0)]
    assert list(zip(*linear_sum_assignment(costs))) == [(0, 1), (1, 0)]
    assert pairs(costs, 1.5) == [(0, 1), (1, 0)]  # 0.1 + 1.5 is more than 0.5 + 0.5


def test_no_good_pair_is_given_up_for_one_that_is_dropped() -> None:
    assert pairs([[0.3, 0.9], [0.35, 1.0]], 0.8) == [(0, 0)]


def least(costs: np.ndarray, limit: float) -> float:
    """The least sum of any pairs, by trying all; two that stay alone cost the limit."""
    n, m = costs.shape
    sums = []
    for count in range(min(n, m) + 1):
        for rows in itertools.combinations(range(n), count):
            for columns in itertools.permutations(range(m), count):
                chosen = costs[list(rows), list(columns)]
                if (chosen <= limit).all():
                    sums.append(chosen.sum() + limit * (min(n, m) - count))
    return min(sums)


@given(st.data())
def test_no_other_pairs_cost_less(data: st.DataObject) -> None:
    n, m = data.draw(st.integers(0, 4)), data.draw(st.integers(0, 4))
    numbers = st.one_of(st.floats(0, 1.5), st.just(np.inf))
    costs = np.array(data.draw(st.lists(numbers, min_size=n * m, max_size=n * m)), np.float64).reshape(n, m)
    found = pairs(costs, 0.8)
    assert len({row for row, _ in found}) == len({column for _, column in found}) == len(found)
    assert all(costs[pair] <= 0.8 for pair in found)
    total = sum(costs[pair] for pair in found) + 0.8 * (min(n, m) - len(found))
    assert total == pytest.approx(least(costs, 0.8), abs=1e-6)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_match(shape: tuple[int, int]) -> None:
    rows, columns = match(np.empty(shape), 0.8)
    assert rows.shape == columns.shape == (0,) and rows.dtype == columns.dtype == np.int64


def test_what_cannot_be_matched_at_all() -> None:
    assert pairs([[np.inf, np.inf], [0.2, np.inf]], 0.8) == [(1, 0)]
    assert pairs([[np.nan, 0.3], [np.nan, 0.1]], 0.8) == [(1, 1)]
    assert pairs([[np.inf]], 0.8) == []


def test_the_limit_itself_is_a_match() -> None:
    assert pairs([[0.8]], 0.8) == [(0, 0)] and pairs([[np.nextafter(0.8, 1)]], 0.8) == []
    assert pairs([[0.8, 0.9], [0.9, 0.9]], 0.8) == [(0, 0)] and pairs([[0.9, 0.8], [0.9, 0.9]], 0.8) == [(0, 1)]


def test_no_matrix() -> None:
    with pytest.raises(ValueError, match="1 dimensions are no matrix"):
        match(np.zeros(3), 0.8)


def test_costs_of_boxes() -> None:
    tracks = np.array([[0, 0, 10, 10], [100, 0, 110, 10]], np.float32)
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [100, 5, 110, 10]], np.float32)
    costs = overlap_costs(tracks, boxes, np.array([0, 1]), np.array([0, 0, 2]))
    expected = [[0, 2 / 3, np.inf], [np.inf, np.inf, 0.5 + OTHER_CLASS]]
    np.testing.assert_allclose(costs, expected, atol=1e-6)
    assert overlap_costs(tracks[:0], boxes, np.array([], int), np.array([0, 0, 2])).shape == (0, 3)
