"""``assign_targets`` against the rule written out, and against the matches YOLOv5 printed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.samples import any_floats
from tests.parity import PARITY, needs_parity
from tests.reference import assign as reference
from yolo.ops import assign_targets

STRIDES = np.array([8, 16, 32], np.float32)
PIXEL_ANCHORS = [[10, 13, 16, 30, 33, 23], [30, 61, 62, 45, 59, 119], [116, 90, 156, 198, 373, 326]]
ANCHORS = np.array(PIXEL_ANCHORS, np.float32).reshape(3, 3, 2) / STRIDES[:, None, None]
GRIDS = [(40, 56), (20, 28), (10, 14)]


def cells_of(level) -> np.ndarray:
    return np.stack([level.image, level.anchor, level.row, level.column, level.classes], 1)


def assert_same(labels, counts, anchors=ANCHORS, grids=GRIDS, anchor_t=4.0):
    levels = assign_targets(labels, counts, anchors, grids, anchor_t)
    assert len(levels) == len(anchors)
    for level, sizes, grid in zip(levels, anchors, grids):
        with np.errstate(all="ignore"):
            cells, boxes = reference.assign_level(labels, counts, sizes, grid, anchor_t)
        np.testing.assert_array_equal(cells_of(level), cells)
        np.testing.assert_array_equal(level.boxes, boxes)
        assert len(level) == len(cells) and level.boxes.dtype == np.float32 and level.row.dtype == np.int32
        assert ((level.row >= 0) & (level.row < grid[0])).all()
        assert ((level.column >= 0) & (level.column < grid[1])).all()
    return levels


def random_labels(rng: np.random.Generator, images: int, capacity: int) -> np.ndarray:
    labels = rng.random((images, capacity, 5)).astype(np.float32)
    labels[..., 0] = rng.integers(0, 80, (images, capacity))
    labels[..., 3:] **= 2
    return labels


@pytest.mark.parametrize("images, capacity", [(1, 1), (3, 7), (2, 33), (16, 5)])
@pytest.mark.parametrize("anchor_t", [1.5, 4.0, 20.0])
def test_equals_the_rule(images, capacity, anchor_t):
    rng = np.random.default_rng(capacity)
    counts = rng.integers(0, capacity + 1, images)
    levels = assert_same(random_labels(rng, images, capacity), counts, anchor_t=anchor_t)
    if images * capacity > 20 and anchor_t >= 4:
        assert all(len(level) for level in levels)


@pytest.mark.parametrize("images, capacity", [(0, 3), (2, 0), (0, 0)])
def test_empty(images, capacity):
    levels = assert_same(np.zeros((images, capacity, 5), np.float32), np.zeros(images, np.int64))
    assert [level.boxes.shape for level in levels] == [(0, 4)] * 3


def test_no_levels():
    assert assign_targets(np.zeros((1, 1, 5)), [1], np.zeros((0, 3, 2)), []) == []


@pytest.mark.parametrize("x", [0.0, 0.05, 0.1, 0.1001, 0.15, 0.2, 0.5, 0.85, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("y", [0.0, 0.149, 0.5, 1.0])
def test_cell_borders_and_picture_borders(x, y):
    labels = np.array([[[3, x, y, 0.2, 0.2]]], np.float32)
    assert_same(labels, [1], np.array([[[2, 2]]], np.float32), [(10, 10)])


def test_neighbours_of_one_target():
    labels = np.array([[[1, 0.52, 0.58, 0.2, 0.2]]], np.float32)
    (level,) = assign_targets(labels, [1], np.array([[[2, 2]]], np.float32), [(10, 10)])
    assert list(zip(level.row, level.column)) == [(5, 5), (5, 4), (6, 5)]
    np.testing.assert_allclose(level.boxes[:, :2], [[0.2, 0.8], [1.2, 0.8], [0.2, -0.2]], atol=1e-5)


def test_padding_rows_are_not_read():
    labels = random_labels(np.random.default_rng(0), 2, 6)
    counts = np.array([2, 0], np.int32)
    dirty = labels.copy()
    dirty[0, 2:] = dirty[1] = np.nan
    for clean, other in zip(*(assign_targets(rows, counts, ANCHORS, GRIDS) for rows in (labels, dirty))):
        np.testing.assert_array_equal(cells_of(clean), cells_of(other))
        np.testing.assert_array_equal(clean.boxes, other.boxes)


@settings(max_examples=100, deadline=None)
@given(images=st.integers(0, 3), capacity=st.integers(0, 4), data=st.data())
def test_anything_at_all(images, capacity, data):
    labels = data.draw(any_floats((images, capacity, 5)))
    labels[..., 0] = np.where(labels[..., 0] < 1e6, labels[..., 0], 7)
    assert_same(labels, np.full(images, capacity))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"labels": np.zeros((2, 5))}, "labels: expected float32 \\[B, M, 5\\], got shape \\[2, 5\\]"),
        ({"counts": [1]}, "counts: expected one integer an image"),
        ({"counts": [1, 4]}, "counts: expected numbers from 0 to 3, got 4"),
        ({"counts": [1, -1]}, "counts"),
        ({"counts": [1.0, 1.0]}, "counts: .* dtype float64"),
        ({"anchors": np.ones((3, 2))}, "anchors"),
        ({"anchors": np.zeros((3, 3, 2))}, "anchors: expected sizes above 0"),
        ({"grid_sizes": [(4, 4)]}, "grid_sizes: expected 3 pairs"),
        ({"grid_sizes": [(4, 0)] * 3}, "grid_sizes"),
        ({"anchor_t": 0}, "anchor_t"),
    ],
)
def test_wrong_arguments_are_named(changes, message):
    arguments = {
        "labels": np.zeros((2, 3, 5), np.float32),
        "counts": [1, 1],
        "anchors": ANCHORS,
        "grid_sizes": GRIDS,
        **changes,
    }
    with pytest.raises(ValueError, match=message):
        assign_targets(**arguments)


@needs_parity
@pytest.mark.parity
def test_equals_yolov5():
    """Golden matches: reference/train_steps_yolov5n.npz, printed by YOLOv5 v7.0 on four COCO128 pictures."""
    golden = np.load(PARITY / "reference" / "train_steps_yolov5n.npz")
    labels, counts = np.zeros((4, 13, 5), np.float32), np.zeros(4, np.int32)
    for image, *label in golden["targets"]:
        labels[int(image), counts[int(image)]] = label
        counts[int(image)] += 1
    levels = assign_targets(labels, counts, ANCHORS, [(40, 40), (20, 20), (10, 10)])
    for i, level in enumerate(levels):
        np.testing.assert_array_equal(cells_of(level)[:, :4], golden[f"assign{i}"])
        np.testing.assert_array_equal(level.classes, golden[f"assign{i}_cls"])
        np.testing.assert_array_equal(level.boxes, golden[f"assign{i}_tbox"])
        np.testing.assert_array_equal(ANCHORS[i][level.anchor], golden[f"assign{i}_anchor"])
