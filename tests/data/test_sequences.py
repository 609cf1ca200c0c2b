"""The index's fields against the lists that they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from yolo.data.records import Index, renumbered
from yolo.data.sequences import Outlines, Paths, Rows, spread

COUNTS = (2, 0, 3, 1, 0)


@pytest.fixture
def lists() -> tuple[list, list, list]:
    rng = np.random.default_rng(0)
    rows = [rng.random((count, 5)).astype(np.float32) for count in COUNTS]
    for some in rows:
        some[:, 0] = rng.integers(3, size=len(some))
    outlines = [[rng.random((int(rng.integers(5)), 2)).astype(np.float32) for _ in some] for some in rows]
    return [f"/a/{k}é\udcff.jpg" for k in range(len(COUNTS))], rows, outlines


def same(found: object, wanted: list) -> None:
    assert len(found) == len(wanted)
    for one, two in zip(found, wanted):
        np.testing.assert_array_equal(one, two)


def whole(index: Index, lists: tuple[list, list, list], places: list[int]) -> None:
    paths, rows, outlines = lists
    assert list(map(str, index.paths)) == list(index.paths.texts()) == [paths[k] for k in places]
    same(index.labels, [rows[k] for k in places])
    same(index.labels.joined(), [row for k in places for row in rows[k]])
    assert index.labels.counts.tolist() == [len(rows[k]) for k in places]
    for found, k in zip(index.segments, places):
        same(found, outlines[k])
    assert index.segments.polygons().tolist() == [sum(len(some) > 0 for some in outlines[k]) for k in places]
    lengths, points = index.segments.joined()
    assert lengths.tolist() == [len(some) for k in places for some in outlines[k]]
    same(points, [point for k in places for some in outlines[k] for point in some])
    assert index.shapes.tolist() == [[k + 1, 9] for k in places]
    report = index.report
    assert report.pictures == len(places) and report.labels == sum(len(rows[k]) for k in places)
    assert report.without_labels == sum(not len(rows[k]) for k in places)


@pytest.mark.parametrize("places", [[0, 1, 2, 3, 4], [3], [4, 2, 2, 0], []])
def test_parts_of_an_index_are_those_of_the_lists(lists: tuple[list, list, list], places: list[int]) -> None:
    index = Index.of(*lists, [(k + 1, 9) for k in range(len(COUNTS))], "abc")
    whole(index.take(np.array(places, np.int64)), lists, places)
    twice = index.take(np.array([4, 3, 2, 1, 0])).take(4 - np.array(places, np.int64))
    whole(twice, lists, places)


def test_classes_in_another_order_leave_the_rest(lists: tuple[list, list, list]) -> None:
    index = Index.of(*lists, [(9, 9)] * len(COUNTS), "abc").take(np.array([2, 0]))
    other = renumbered(index, [2, 0, 1])
    assert other.names == ("c", "a", "b")
    for one, two in zip(index.labels, other.labels):
        assert [index.names[int(row[0])] for row in one] == [other.names[int(row[0])] for row in two]
        np.testing.assert_array_equal(one[:, 1:], two[:, 1:])
    same(other.segments[0], index.segments[0])


def test_they_are_sequences(lists: tuple[list, list, list]) -> None:
    paths, rows = Paths.of(lists[0]), Rows.of(lists[1])
    assert str(paths[-1]) == lists[0][-1] and paths.index(paths[2]) == 2 and paths[1:3] == [paths[1], paths[2]]
    for place in (5, -6):
        with pytest.raises(IndexError):
            rows[place]
    with pytest.raises(ValueError, match="read-only"):
        rows[0][0, 0] = 1
    assert not Rows.of([]) and Outlines.of([]).polygons().tolist() == [] and len(Rows.of([]).joined()) == 0


def test_spread_places() -> None:
    assert spread(np.array([7, 1, 4]), np.array([2, 0, 3])).tolist() == [7, 8, 4, 5, 6]
