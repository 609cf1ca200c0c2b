"""Anchors: recall against plain loops, k-means and the genetic search by what they must reach."""

from __future__ import annotations

import numpy as np
import pytest

from yolo import anchors
from yolo.data.records import Index

COCO = np.array([10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326], float).reshape(3, 3, 2)


def index_of(shapes: list[tuple[int, int]], shares: list[list[tuple[float, float]]]) -> Index:
    """An index of images (height, width) with boxes of these shares of width and height."""
    labels = [np.array([(0, 0.5, 0.5, *share) for share in some], np.float32).reshape(-1, 5) for some in shares]
    paths = [f"{number}.png" for number in range(len(shapes))]
    return Index.of(paths, labels, [[] for _ in shapes], shapes, ("item",))


def clusters(centres: list[tuple[float, float]], each: int = 60, seed: int = 0) -> np.ndarray:
    """Boxes about some sizes, 5 % off."""
    rng = np.random.default_rng(seed)
    return np.concatenate([np.array(centre) * rng.normal(1, 0.05, (each, 2)) for centre in centres])


def by_hand(sizes: np.ndarray, some: np.ndarray, anchor_t: float) -> tuple[float, float, float]:
    """Best possible recall, anchors that fit a box, and fitness, one box and one anchor at a time."""
    reached, fits, similar = 0, 0, 0.0
    for w, h in sizes:
        ratios = [min(w / a, a / w, h / b, b / h) for a, b in some.reshape(-1, 2)]
        fitting = sum(ratio > 1 / anchor_t for ratio in ratios)
        reached, fits = reached + (fitting > 0), fits + fitting
        similar += max(ratios) if fitting else 0
    return reached / len(sizes), fits / len(sizes), similar / len(sizes)


@pytest.mark.parametrize("anchor_t", [1.5, 2.91, 4.0])
def test_recall_and_fitness_are_those_of_loops(anchor_t: float) -> None:
    sizes = np.exp(np.random.default_rng(0).normal(3, 1.2, (80, 2)))
    best, fits, similar = by_hand(sizes, COCO, anchor_t)
    found = anchors.recall(sizes, COCO.astype(np.float32), anchor_t)
    assert 0.2 < best < 1 and (found.best, found.fits) == pytest.approx((best, fits))
    assert anchors.fitness(sizes, COCO.reshape(-1, 2), anchor_t) == pytest.approx(similar)


def test_sizes_are_those_in_resized_images() -> None:
    index = index_of([(100, 200), (300, 150), (64, 64)], [[(0.5, 0.5), (0.1, 1.0)], [(1.0, 0.2)], []])
    expected = [[160, 80], [32, 160], [160, 64]]
    np.testing.assert_allclose(anchors.box_sizes(index, 320), expected, rtol=1e-6)
    scaled = anchors.box_sizes(index, 320, np.random.default_rng(3)) / expected
    assert (np.abs(scaled - 1) <= 0.1).all() and scaled[0] == pytest.approx(scaled[1])
    assert len(np.unique(scaled[1:].round(6))) == 2
    assert anchors.box_sizes(index_of([(9, 9)], [[]]), 64).shape == (0, 2)


def test_anchors_find_the_clusters() -> None:
    centres = [(100, 40), (12, 20), (30, 90), (8, 8), (200, 180), (50, 55)]
    sizes = clusters(centres)
    found = anchors.fit_anchors(sizes, 6, 4.0, np.random.default_rng(0), generations=200)
    expected = np.array(sorted(centres, key=np.prod), float)
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_evolution_only_betters_what_k_means_found() -> None:
    sizes = np.exp(np.random.default_rng(1).normal(3, 1, (500, 2))).clip(2)
    grown = [
        anchors.fitness(sizes, anchors.fit_anchors(sizes, 4, 3.0, np.random.default_rng(5), generations=n), 3.0)
        for n in (0, 30, 300)
    ]
    assert grown[0] < grown[1] < grown[2]


def test_a_seed_gives_the_same_anchors_from_small_to_large() -> None:
    sizes = np.exp(np.random.default_rng(1).normal(3, 1, (300, 2)))
    first, again, other = (
        anchors.fit_anchors(sizes, 9, 4.0, np.random.default_rng(seed), generations=50) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert (np.diff(first.prod(1)) >= 0).all() and first.shape == (9, 2) and (first >= 2).all()


def test_many_boxes_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchors, "MOST_BOXES", 100)
    sizes = clusters([(20, 20), (100, 50)], each=1000)
    found = anchors.fit_anchors(sizes, 2, 4.0, np.random.default_rng(0), generations=20)
    np.testing.assert_allclose(found, [(20, 20), (100, 50)], rtol=0.05)


@pytest.mark.parametrize("sizes", [[(30, 20)], [(30, 20)] * 50, [(30, 20), (40, 0)], [(3, 3), (3, 600), (1, 1)]])
def test_fewer_different_boxes_than_anchors(sizes: list[tuple[float, float]]) -> None:
    found = anchors.fit_anchors(np.array(sizes, float), 9, 4.0, np.random.default_rng(0), generations=20)
    assert found.shape == (9, 2) and np.isfinite(found).all() and (found >= 2).all()
    assert anchors.recall(np.array(sizes[:1], float), found, 4.0).best == 1


def test_nothing_to_fit_to() -> None:
    for sizes in (np.zeros((0, 2)), np.full((5, 2), 1.9)):
        with pytest.raises(ValueError, match="no box has a side of 2 pixels"):
            anchors.fit_anchors(sizes, 9, 4.0, np.random.default_rng(0))


def test_small_anchors_go_to_the_finest_level() -> None:
    ascending = COCO.reshape(-1, 2)
    assert np.array_equal(anchors.by_level(ascending, (8, 16, 32)), COCO.astype(np.float32))
    assert np.array_equal(anchors.by_level(ascending, (32, 16, 8)), COCO[::-1].astype(np.float32))
    assert anchors.by_level(ascending, (8, 32, 16)).tolist() == COCO[[0, 2, 1]].tolist()
