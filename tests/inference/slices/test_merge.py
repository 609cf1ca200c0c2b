"""Detections of slices become those of the image: nothing twice, nothing cut, nothing lost."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from yolo.inference.slices.merge import merge
from yolo.inference.slices.windows import Slicing

NONE = np.zeros((0, 6), np.float32)
SLICING = Slicing(100, 0.2)
STRIP = SLICING.windows((100, 260))
"""Three in a row: 0 to 100, 80 to 180, 160 to 260."""
FOUR = SLICING.windows((180, 180))


def row(x1: float, y1: float, x2: float, y2: float, conf: float = 0.9, number: int = 0) -> np.ndarray:
    return np.array([[x1, y1, x2, y2, conf, number]], np.float32)


def seen(objects: np.ndarray, windows: np.ndarray, least: float = 2) -> list[np.ndarray]:
    """What a network that errs nowhere finds in each window: the part of each object that lies there, if any."""
    found = []
    for left, top, right, bottom in windows.tolist():
        rows = objects.copy()
        rows[:, [0, 2]] = rows[:, [0, 2]].clip(left, right)
        rows[:, [1, 3]] = rows[:, [1, 3]].clip(top, bottom)
        found.append(rows[(rows[:, 2:4] - rows[:, :2] >= least).all(1)])
    return found


def merged(parts: Sequence[np.ndarray], windows: np.ndarray, whole: np.ndarray = NONE, **settings) -> np.ndarray:
    return merge(whole, parts, windows, **{"iou": 0.45, **settings})


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    """The same rows in any order."""
    keys = [rows[np.lexsort(rows.T)] for rows in (found, expected)]
    return keys[0].shape == keys[1].shape and np.allclose(*keys, atol=1e-3)


@pytest.mark.parametrize(
    ("what", "box"),
    [
        ("inside of one", (20, 20, 60, 70)),
        ("in the strip that two share", (83, 20, 97, 70)),
        ("over a seam", (70, 20, 110, 70)),
        ("over a seam, mostly in one", (40, 20, 101, 70)),
        ("as long as two", (10, 20, 150, 70)),
        ("over all three", (0, 0, 260, 100)),
    ],
)
@pytest.mark.parametrize("known", [False, True])
def test_one_object_of_a_strip(what: str, box: tuple[float, ...], known: bool) -> None:
    """``known``: it was found in the whole image, too."""
    parts = seen(row(*box), STRIP)
    whole = row(*box, conf=0.3) if known else NONE
    assert len(parts[0]) and same(merged(parts, STRIP, whole), row(*box)), what


@pytest.mark.parametrize("box", [(85, 85, 95, 95), (70, 70, 110, 110), (20, 20, 170, 170), (60, 90, 140, 178)])
def test_one_object_on_the_corner_of_four(box: tuple[float, ...]) -> None:
    parts = seen(row(*box), FOUR)
    assert [len(rows) for rows in parts] == [1] * 4
    assert same(merged(parts, FOUR), row(*box))


def test_the_score_is_the_best_one_and_the_sides_are_of_those_that_know_them() -> None:
    """A chain A-B-C: each but the ends is cut at both sides, and none knows it all."""
    parts = [row(30, 20, 100, 70, 0.5), row(80, 22, 180, 72, 0.8), row(160, 18, 240, 68, 0.6)]
    assert same(merged(parts, STRIP), row(30, 22, 240, 72, 0.8))
    assert same(merged([parts[0], NONE, parts[2]], STRIP), np.concatenate([parts[0], parts[2]]))


def test_a_chain_of_objects_that_no_seam_cuts_stays_one_of_objects() -> None:
    """Each overlaps the next by less than the threshold, and is whole where it was seen."""
    objects = np.concatenate([row(10, 20, 60, 70, 0.8), row(40, 20, 92, 70, 0.9), row(90, 20, 130, 70, 0.7)])
    parts = seen(objects, STRIP)
    assert same(merged(parts, STRIP), objects)


def test_what_two_windows_show_whole_is_one_with_the_better_box() -> None:
    better, other = row(85, 20, 96, 60, 0.9), row(84, 21, 95, 62, 0.8)
    assert same(merged([other, better, NONE], STRIP), better)
    assert len(merged([other, better, NONE], STRIP, iou=0.95)) == 2


def test_classes_do_not_merge_unless_agnostic() -> None:
    parts = [row(30, 20, 100, 70, 0.5, 1), row(80, 20, 130, 70, 0.8, 2), NONE]
    assert sorted(merged(parts, STRIP, iou=0.3)[:, 5]) == [1, 2]
    assert same(merged(parts, STRIP, agnostic=True), row(30, 20, 130, 70, 0.8, 2))


def test_a_piece_that_a_neighbour_does_not_confirm_is_left_out() -> None:
    """The neighbour shows all of its place, and saw something else there, or nothing."""
    piece, thing = row(85, 40, 100, 60, 0.9, 1), row(85, 20, 150, 80, 0.8, 2)
    assert same(merged([piece, thing, NONE], STRIP), thing)
    beyond = row(70, 40, 100, 60, 0.9, 1)  # the neighbour shows a part of it
    assert same(merged([beyond, thing, NONE], STRIP), np.concatenate([beyond, thing]))
    uncut = row(85, 40, 95, 60, 0.9, 1)
    assert same(merged([uncut, thing, NONE], STRIP), np.concatenate([uncut, thing]))


def test_a_part_that_says_it_is_whole_does_not_take_the_whole() -> None:
    """The middle window takes the middle of a long object for all of it."""
    whole, middle = row(20, 10, 240, 90, 0.8), row(90, 10, 170, 90, 0.9)
    assert same(merged([NONE, middle, NONE], STRIP, whole), np.concatenate([whole, middle]))


def test_the_whole_image_joins_what_windows_without_overlap_cut() -> None:
    windows = Slicing(100, 0).windows((100, 200))
    parts = [row(50, 20, 100, 70, 0.9), row(100, 20, 160, 70, 0.8)]
    assert len(merged(parts, windows)) == 2
    assert same(merged(parts, windows, row(52, 20, 160, 70, 0.4)), row(50, 20, 160, 70, 0.9))


def test_nothing_was_found() -> None:
    assert merged([NONE] * 3, STRIP).shape == (0, 6)
    assert same(merged([NONE] * 3, STRIP, row(1, 2, 3, 4)), row(1, 2, 3, 4))


def test_best_first_and_of_one_type() -> None:
    parts = [row(10, 10, 20, 20, 0.3), row(120, 10, 130, 20, 0.7), row(200, 10, 210, 20, 0.5)]
    found = merged(parts, STRIP, row(50, 50, 60, 60, 0.6))
    assert found.dtype == np.float32 and np.allclose(found[:, 4], [0.7, 0.6, 0.5, 0.3])


@pytest.mark.parametrize("overlap", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("whole", [False, True])
def test_a_network_that_errs_nowhere_finds_each_object_once(overlap: float, whole: bool) -> None:
    """Objects of all sizes that do not overlap one another, wherever they lie: cells of grids, a little smaller."""
    rng = np.random.default_rng(0)
    for _ in range(15):
        size = tuple(rng.integers(60, 500, 2).tolist())
        windows = Slicing(100, overlap).windows(size)
        objects = _apart(rng, size)
        parts = seen(objects, windows)
        found = merged(parts, windows, seen(objects, np.array([[0, 0, size[1], size[0]]]))[0] if whole else NONE)
        assert same(found, objects), (size, objects)


def _apart(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """One object in each cell of an uneven grid; scores and classes are random."""
    rows, columns = (np.unique([0, side, *rng.integers(0, side, rng.integers(0, 6))]).tolist() for side in size)
    boxes = []
    for top, bottom in itertools.pairwise(rows):
        for left, right in itertools.pairwise(columns):
            x, y = np.sort(rng.uniform(left, right, 2)), np.sort(rng.uniform(top, bottom, 2))
            if x[1] - x[0] > 8 and y[1] - y[0] > 8:
                boxes.append([x[0], y[0], x[1], y[1], rng.uniform(0.3, 1), rng.integers(2)])
    return np.array(boxes, np.float32).reshape(-1, 6)
