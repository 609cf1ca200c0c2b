"""Parents and children: the proportions and bounds that the rule states."""

from __future__ import annotations

import numpy as np
import pytest

from yolo.config.evolution import RANGES
from yolo.config.hyp import load_hyperparameters, recipe
from yolo.engine.evolution.mutation import choose_parent, mutate, within_ranges

VOC = recipe(load_hyperparameters("hyp.VOC"))


def test_only_the_best_five_are_parents_by_their_fitness() -> None:
    fitness = [0.1, 0.5, 0.2, 0.3, 0.0, 0.4, 0.15]
    rng = np.random.default_rng(0)
    counts = np.bincount([choose_parent(fitness, rng) for _ in range(4000)], minlength=7) / 4000
    assert (counts[[0, 4, 6]] <= [0, 0, 0.01]).all()  # the worst of the five weighs next to nothing
    above = np.array([0.35, 0.05, 0.15, 0.25])
    np.testing.assert_allclose(counts[[1, 2, 3, 5]], above / above.sum(), atol=0.03)


@pytest.mark.parametrize("fitness", [[0.3], [0.2, 0.2], [0.0, 0.0, 0.0]])
def test_equal_parents_have_equal_chances(fitness: list[float]) -> None:
    rng = np.random.default_rng(0)
    counts = np.bincount([choose_parent(fitness, rng) for _ in range(1500)], minlength=len(fitness))
    np.testing.assert_allclose(counts / 1500, 1 / len(fitness), atol=0.05)


def test_children_keep_to_factors_ranges_and_digits() -> None:
    rng = np.random.default_rng(0)
    start = within_ranges(VOC)
    changed = dict.fromkeys(start, 0)
    for _ in range(500):
        child = mutate(start, rng)
        assert list(child) == list(start) and child != start
        for name, value in child.items():
            gain, low, high = RANGES[name]
            assert low <= value <= high and value == round(value, 5)
            assert 0.3 * start[name] - 1e-5 <= value <= 3 * start[name] + 1e-5 or value in (low, high)
            changed[name] += value != start[name]
            if gain == 0 or start[name] == 0:
                assert value == start[name], name
    shares = np.array([changed[name] / 500 for name in ("lrf", "momentum", "warmup_epochs", "anchor_t", "scale")])
    assert (np.abs(shares - 0.8) < 0.07).all()


def test_a_greater_gain_changes_more() -> None:
    rng = np.random.default_rng(0)
    children = [mutate(within_ranges(VOC), rng) for _ in range(800)]
    spread = {
        name: np.std([child[name] / VOC[name] for child in children])
        for name in ("momentum", "anchors", "warmup_epochs")
    }
    assert spread["momentum"] < 0.6 * spread["warmup_epochs"] < 0.6 * spread["anchors"]


def test_the_same_seed_gives_the_same_child() -> None:
    a, b, c = (mutate(VOC, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert a == b != c


def test_values_outside_their_ranges_are_brought_in() -> None:
    assert within_ranges({"obj": 40.0, "lr0": 0.0, "momentum": 0.9370000001}) == {
        "obj": 4,
        "lr0": 1e-5,
        "momentum": 0.937,
    }
