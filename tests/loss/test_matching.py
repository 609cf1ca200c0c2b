"""The matches of static shape are those of the rule written out, and are written in the same order."""

from __future__ import annotations

import numpy as np
import oneflow as flow
import pytest

from graphs.base import StaticGraph
from tests.reference.assign import assign_level
from yolo.loss.matching import match_level
from yolo.loss.reference import _objectness_target

ANCHORS = np.array(  # in cells
    [
        [(1.25, 1.625), (2.0, 3.75), (4.125, 2.875)],
        [(1.9, 3.8), (3.9, 2.8), (3.7, 7.4)],
        [(3.6, 2.8), (4.9, 6.2), (11, 10)],
    ],
    np.float32,
)
GRIDS = ((16, 20), (8, 10), (4, 5))
THRESHOLD = 4.0
IMAGES, PLACES = 3, 24


def static_matches(labels, counts, anchors, grid):
    """Rows (image, anchor, row, column, class, x, y, w, h) of the static matches, as often as their weight says."""
    matches = match_level(flow.tensor(labels), flow.tensor(counts), flow.tensor(anchors), grid, THRESHOLD)
    return rows_of([matches.cell, matches.valid, matches.xy, matches.wh], matches.classes.numpy(), grid)


def rows_of(tensors, classes, grid):
    cell, valid, xy, wh = (tensor.numpy() for tensor in tensors)
    image, slot, anchor, place = np.nonzero(valid)
    at = (image, slot, anchor, place)
    number, rest = np.divmod(cell[at], grid[0] * grid[1])
    assert (number == anchor).all()
    row, column = np.divmod(rest, grid[1])
    rows = np.column_stack([image, anchor, row, column, classes[image, place], xy[at], wh[at]]).astype(np.float32)
    return in_order(np.repeat(rows, valid[at].astype(int), axis=0))


def expected_matches(labels, counts, anchors, grid):
    return in_order(np.hstack(assign_level(labels, counts, anchors, grid, THRESHOLD)).astype(np.float32))


def in_order(rows):
    return rows[np.lexsort(rows.T[::-1])]


def batch_of(*images, places=PLACES):
    """Label rows of each image -> padded labels and counts; padding rows look like labels."""
    labels = np.tile(np.float32([1, 0.4, 0.6, 0.3, 0.3]), (len(images), places, 1))
    for target, rows in zip(labels, images):
        target[: len(rows)] = np.asarray(rows, np.float32).reshape(-1, 5)
    return labels, np.array([len(rows) for rows in images], np.int32)


def random_batch(seed, counts=(PLACES, 5, 0)):
    rng = np.random.default_rng(seed)
    return batch_of(*(
        np.column_stack([rng.integers(0, 7, n), rng.random((n, 2)), np.exp(rng.uniform(-4, 0, (n, 2)))]) for n in counts
    ))  # fmt: skip


def label(x, y, w=0.3, h=0.3, number=2):
    return [number, x, y, w, h]


BORDERS = [0.0, 1.0, 0.5, 0.25, 0.1, 0.2, 0.05, 0.95, 0.0625, 0.9375, 1e-7, 1 - 1e-7, 0.525, 0.475, 0.3]
BATCHES = {
    "random": random_batch(0),
    "crowded": random_batch(1, (PLACES, PLACES, PLACES)),
    "no labels": batch_of([], [], []),
    "one label": batch_of([], [label(0.33, 0.61)], []),
    "tiny and huge": batch_of(
        [label(0.3, 0.3, 1e-6, 1e-6), label(0.31, 0.7, 1e-6, 0.5)],
        [label(0.52, 0.49, 1, 1), label(0.51, 0.48, 1, 1)],
        [label(0.37, 0.41, 0.01, 1), label(0.63, 0.69, 0, 0.2), label(0.63, 0.69, 0.2, 0)],
    ),
    "corners": batch_of(*[[label(x, y) for x in (0, 1, 0.03) for y in (0, 1, 0.97)]] * 3),
    "inside a cell": batch_of(*[[label(x + d, 0.37) for x in (0.51, 0.01, 0.97) for d in (0, 0.01, 0.02)]] * 3),
}


@pytest.mark.parametrize("level", range(3))
@pytest.mark.parametrize("name", BATCHES)
def test_the_same_matches(name, level):
    labels, counts = BATCHES[name]
    expected = expected_matches(labels, counts, ANCHORS[level], GRIDS[level])
    np.testing.assert_array_equal(static_matches(labels, counts, ANCHORS[level], GRIDS[level]), expected)
    if name in ("random", "crowded", "corners"):
        assert len(expected) > 10, "nothing was compared"


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("position", BORDERS)
def test_centres_on_the_borders_of_cells(position, axis):
    """A centre exactly between two cells is near both borders: it matches its own cell twice and the one before."""
    at = (position, 0.37) if axis == "x" else (0.37, position)
    labels, counts = batch_of([label(*at, 0.2, 0.2)])
    for anchors, grid in zip(ANCHORS, GRIDS):
        expected = expected_matches(labels, counts, anchors, grid)
        np.testing.assert_array_equal(static_matches(labels, counts, anchors, grid), expected)


@pytest.mark.parametrize("grid", [(1, 1), (1, 7), (2, 2), (3, 40), (80, 80)])
def test_other_grids(grid):
    labels, counts = random_batch(2)
    expected = expected_matches(labels, counts, ANCHORS[1], grid)
    np.testing.assert_array_equal(static_matches(labels, counts, ANCHORS[1], grid), expected)


def test_one_anchor_and_a_narrow_threshold():
    labels, counts = random_batch(3)
    for threshold in (1.0, 1.5, 3.3744, 100.0):
        found, _ = assign_level(labels, counts, ANCHORS[0, :1], GRIDS[0], threshold)
        matches = match_level(
            flow.tensor(labels), flow.tensor(counts), flow.tensor(ANCHORS[0, :1]), GRIDS[0], threshold
        )
        assert float(matches.valid.numpy().sum()) == len(found), threshold


def test_a_ratio_of_exactly_the_threshold_does_not_match():
    rows = [
        label(0.33, 0.37, 4 * 2 / 16, 2 / 16),
        label(0.33, 0.37, 2 / 16, 0.5 / 16),
        label(0.33, 0.37, 7.9 / 16, 2 / 16),
    ]
    for row, number in zip(rows, (0, 0, 3)):
        labels, counts = batch_of([row])
        assert len(static_matches(labels, counts, np.float32([[2, 2]]), (16, 16))) == number


def test_padding_rows_may_hold_anything():
    labels, counts = random_batch(4)
    expected = [static_matches(labels, counts, *level) for level in zip(ANCHORS, GRIDS)]
    for filling in (0.0, np.nan, np.inf, -1.0, 1e30):
        padded = labels.copy()
        for image, count in zip(padded, counts):
            image[count:, 1:] = filling
        for rows, level in zip(expected, zip(ANCHORS, GRIDS)):
            found = match_level(flow.tensor(padded), flow.tensor(counts), flow.tensor(level[0]), level[1], THRESHOLD)
            assert float(found.valid.numpy().sum()) == len(rows)


class _MatchGraph(StaticGraph):
    """All levels' matches, and the map that their overlaps are written to."""

    def build(self, labels, counts):
        outputs = []
        for anchors, grid in zip(ANCHORS, GRIDS):
            matches = match_level(labels, counts, flow.tensor(anchors), grid, THRESHOLD)
            outputs.append((matches.cell, matches.valid, matches.xy + 0.0, matches.wh + 0.0, written(matches, grid)))
        return outputs


def written(matches, grid):
    """The map of objectness targets when each match has the overlap ``overlap_of``."""
    place = flow.arange(matches.cell.shape[3]).reshape(1, 1, 1, -1)
    overlap = overlap_of(matches.cell, place).to(flow.float32) / 1024.0
    return _objectness_target(overlap, matches, len(ANCHORS[0]) * grid[0] * grid[1])


def overlap_of(cell, place):
    """A number that tells who wrote it: no two labels have the same in one cell."""
    return (cell * 5 + place * 37) % 1021 + 1


def expected_map(labels, counts, anchors, grid):
    """Matches written one after the other, in the order of the rule."""
    numbered = labels.copy()
    numbered[..., 0] = np.arange(labels.shape[1])  # the class carries the label's place through
    found, _ = assign_level(numbered, counts, anchors, grid, THRESHOLD)
    target = np.zeros((len(labels), len(anchors) * grid[0] * grid[1]), np.float32)
    for image, anchor, row, column, place in found:
        cell = (anchor * grid[0] + row) * grid[1] + column
        target[image, cell] = overlap_of(int(cell), int(place)) / 1024.0
    return target


@pytest.fixture(scope="module")
def graph():
    return _MatchGraph()


@pytest.mark.parametrize("name", ["random", "crowded", "no labels", "corners"])
def test_in_a_graph(graph, name):
    labels, counts = BATCHES[name]
    outputs = graph(flow.tensor(labels), flow.tensor(counts))
    for (*tensors, target), anchors, grid in zip(outputs, ANCHORS, GRIDS):
        rows = rows_of(tensors, labels[..., 0], grid)
        np.testing.assert_array_equal(rows, expected_matches(labels, counts, anchors, grid))
        np.testing.assert_array_equal(target.numpy(), expected_map(labels, counts, anchors, grid))


def order_batch(seed, integer):
    """Many labels in few cells; ``integer``: centres on the corners of cells too."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(IMAGES):
        centres = rng.uniform(0.3, 0.7, (PLACES, 2))
        if integer:
            centres[::2] = np.round(centres[::2] * 10) / 10
        rows.append(np.column_stack([np.zeros(PLACES), centres, rng.uniform(0.15, 0.4, (PLACES, 2))]))
    return batch_of(*rows)


@pytest.mark.parametrize("integer", [False, True], ids=["anywhere", "on borders"])
@pytest.mark.parametrize("seed", range(3))
def test_the_last_match_written_to_a_cell_wins(seed, integer):
    labels, counts = order_batch(seed, integer)
    for anchors, grid in zip(ANCHORS, GRIDS):
        matches = match_level(flow.tensor(labels), flow.tensor(counts), flow.tensor(anchors), grid, THRESHOLD)
        expected = expected_map(labels, counts, anchors, grid)
        assert (expected > 0).sum() < 0.8 * len(expected_matches(labels, counts, anchors, grid)), (
            "nothing was contested"
        )
        np.testing.assert_array_equal(written(matches, grid).numpy(), expected)


def test_an_overlap_below_zero_is_written_as_zero():
    labels, counts = batch_of([label(0.33, 0.37)])
    matches = match_level(flow.tensor(labels), flow.tensor(counts), flow.tensor(ANCHORS[0]), GRIDS[0], THRESHOLD)
    target = _objectness_target(flow.full(list(matches.valid.shape), -0.5), matches, 3 * 16 * 20)
    assert target.shape == (1, 960)
    assert not target.numpy().any()
