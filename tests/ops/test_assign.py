"""The cells that the compiled loss gives to labels, against the rule written out and the matches YOLOv5 printed."""

from __future__ import annotations

import dataclasses

import numpy as np
import oneflow as flow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.loss_cases import PLAIN, Case
from tests.ops.operators import run
from tests.ops.samples import any_floats
from tests.parity import PARITY, needs_parity
from tests.reference import assign as reference
from yolo import native

STRIDES = (8, 16, 32)
PIXEL_ANCHORS = [[10, 13, 16, 30, 33, 23], [30, 61, 62, 45, 59, 119], [116, 90, 156, 198, 373, 326]]
ANCHORS = np.array(PIXEL_ANCHORS, np.float32).reshape(3, 3, 2)
GRIDS = ((20, 28), (10, 14), (5, 7))
CLASSES = 4
THREE_LEVELS = dataclasses.replace(PLAIN, balance=(4.0, 1.0, 0.4))


def case_of(labels, counts, anchors=ANCHORS, strides=STRIDES, grids=GRIDS, seed=0) -> Case:
    rng = np.random.default_rng(seed)
    shapes = [(len(labels), anchors.shape[1], 5 + CLASSES, *grid) for grid in grids]
    heads = [rng.normal(0, 1, shape).astype(np.float32) for shape in shapes]
    return Case(heads, np.asarray(labels, np.float32), np.asarray(counts, np.int32), grids, anchors, strides)


def matches(case: Case, anchor_t: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """(cells, boxes) of the levels by the rule."""
    cells = [(sizes / stride).astype(np.float32) for sizes, stride in zip(case.anchors, case.strides)]
    with np.errstate(all="ignore"):
        return [
            reference.assign_level(case.labels, case.counts, sizes, grid, anchor_t)
            for sizes, grid in zip(cells, case.grids)
        ]


def check(case: Case, anchor_t: float = 4.0) -> list[np.ndarray]:
    """The loss's matches are the rule's: their number, their cells, and what they are to predict; gives the cells."""
    chosen = dataclasses.replace(PLAIN, anchor_t=anchor_t, balance=(1.0,) * len(case.grids))
    expected = matches(case, anchor_t)
    terms, _, gradients = case.run(chosen)
    np.testing.assert_array_equal(terms[:, 1], [len(cells) for cells, _ in expected])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(terms, case.reference(chosen).terms(case.rows()), rtol=1e-5)
    for gradient, (cells, _) in zip(gradients, expected):
        moved = np.argwhere(gradient[:, :, :4].any(axis=2))
        assert {tuple(cell) for cell in moved} == {tuple(cell) for cell in cells[:, :4]}
    return [cells for cells, _ in expected]


def counted(case: Case, anchor_t: float = 4.0) -> np.ndarray:
    """Matches a level, as ranks count them before they start."""
    chosen = dataclasses.replace(PLAIN, anchor_t=anchor_t, balance=(1.0,) * len(case.grids))
    operator = native.MatchCount(case.operator(chosen), *case.labels.shape[:2])
    (found,) = run(operator, [case.labels, case.counts], [((len(case.grids),), flow.float64)])
    return found


def random_labels(rng: np.random.Generator, images: int, capacity: int) -> np.ndarray:
    labels = rng.random((images, capacity, 5)).astype(np.float32)
    labels[..., 0] = rng.integers(0, CLASSES, (images, capacity))
    labels[..., 3:] **= 2
    return labels


@pytest.mark.parametrize("images, capacity", [(1, 1), (3, 7), (2, 33), (16, 5)])
@pytest.mark.parametrize("anchor_t", [1.5, 4.0, 20.0])
def test_equals_the_rule(images, capacity, anchor_t):
    rng = np.random.default_rng(capacity)
    case = case_of(random_labels(rng, images, capacity), rng.integers(0, capacity + 1, images))
    levels = check(case, anchor_t)
    assert counted(case, anchor_t).tolist() == list(map(len, levels))
    if images * capacity > 20 and anchor_t >= 4:
        assert all(map(len, levels))


@pytest.mark.parametrize("capacity", [0, 3])
def test_no_labels(capacity):
    levels = check(case_of(np.zeros((2, capacity, 5)), [0, 0]))
    assert not any(map(len, levels))


@pytest.mark.parametrize("x", [0.0, 0.05, 0.1, 0.1001, 0.15, 0.2, 0.5, 0.85, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("y", [0.0, 0.149, 0.5, 1.0])
def test_cell_borders_and_image_borders(x, y):
    check(case_of([[[3, x, y, 0.2, 0.2]]], [1], np.array([[[16, 16]]], np.float32), (8,), ((10, 10),)))


def test_neighbours_of_one_target():
    case = case_of([[[1, 0.52, 0.58, 0.2, 0.2]]], [1], np.array([[[16, 16]]], np.float32), (8,), ((10, 10),))
    (gradient,) = case.run(dataclasses.replace(PLAIN, balance=(1.0,)))[2]
    moved = np.argwhere(gradient[:, :, :4].any(axis=2))
    assert moved.tolist() == [[0, 0, 5, 4], [0, 0, 5, 5], [0, 0, 6, 5]]


def test_padding_rows_are_not_read():
    labels, counts = random_labels(np.random.default_rng(0), 2, 6), [2, 0]
    dirty = labels.copy()
    dirty[0, 2:] = dirty[1] = np.nan
    for clean, other in zip(*(case_of(rows, counts).run(THREE_LEVELS)[:2] for rows in (labels, dirty))):
        np.testing.assert_array_equal(clean, other)


@settings(max_examples=100, deadline=None)
@given(images=st.integers(1, 3), capacity=st.integers(0, 4), data=st.data())
def test_any_labels_at_all_match_as_the_rule_says(images, capacity, data):
    labels = data.draw(any_floats((images, capacity, 5)))
    labels[..., 0] = np.where(labels[..., 0] < 1e6, labels[..., 0], 7)
    case = case_of(labels, np.full(images, capacity))
    terms = case.run(THREE_LEVELS)[0]
    np.testing.assert_array_equal(terms[:, 1], [len(cells) for cells, _ in matches(case, 4.0)])


@needs_parity
@pytest.mark.parity
def test_equals_yolov5():
    """Golden matches: reference/train_steps_yolov5n.npz, printed by YOLOv5 v7.0 on four COCO128 images."""
    golden = np.load(PARITY / "reference" / "train_steps_yolov5n.npz")
    labels, counts = np.zeros((4, 13, 5), np.float32), np.zeros(4, np.int32)
    for image, *label in golden["targets"]:
        labels[int(image), counts[int(image)]] = label
        counts[int(image)] += 1
    labels[..., 0] %= CLASSES  # the golden classes are compared as the rule has them
    case = case_of(labels, counts, grids=((40, 40), (20, 20), (10, 10)))
    sizes = ANCHORS / np.float32(STRIDES)[:, None, None]
    for i, (cells, boxes) in enumerate(matches(case, 4.0)):
        np.testing.assert_array_equal(cells[:, :4], golden[f"assign{i}"])
        np.testing.assert_array_equal(cells[:, 4], golden[f"assign{i}_cls"] % CLASSES)
        np.testing.assert_array_equal(boxes, golden[f"assign{i}_tbox"])
        np.testing.assert_array_equal(sizes[i][cells[:, 1]], golden[f"assign{i}_anchor"])
    levels = check(case)
    assert counted(case).tolist() == list(map(len, levels))
