"""Outlines of COCO objects: run-length masks as polygons, and what has none."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval import mask as coco_mask
from numpy.typing import NDArray

from tests.data.convert.small import LINE, coco, converted
from tests.data.foreign import shaded_image
from yolo.data.convert.masks import decode_mask, mask_polygons, object_outline
from yolo.data.convert.outline import joined
from yolo.data.convert.records import Tally

MASK = np.zeros((50, 100), np.uint8)
MASK[5:15, 10:30] = 1
"""LINE's pixels."""


def runs(mask: NDArray[np.uint8]) -> list[int]:
    """Lengths of runs down the columns, of zeros first."""
    flat = mask.ravel(order="F")
    ends = [0, *(np.flatnonzero(np.diff(flat)) + 1), flat.size]
    return ([0] if flat[0] else []) + [int(b - a) for a, b in pairwise(ends)]


def text(mask: NDArray[np.uint8]) -> str:
    counts = coco_mask.encode(np.asfortranarray(mask))["counts"]
    return counts.decode() if isinstance(counts, bytes) else counts


def signed_area(points: NDArray[np.float64]) -> float:
    x, y = points.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def inside(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels' centres are within a polygon, by the even-odd rule."""
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    result = np.zeros(size, bool)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0)):
        if y1 != y2:
            crossing = x1 + (rows - y1) * (x2 - x1) / (y2 - y1)
            result ^= ((y1 > rows) != (y2 > rows)) & (columns < crossing)
    return result


@pytest.mark.parametrize("form", [runs, text])
def test_masks_are_read_down_the_columns(form) -> None:
    rng = np.random.default_rng(0)
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        mask = (rng.random((7, 300)) < share).astype(np.uint8)
        read = decode_mask({"size": [7, 300], "counts": form(mask)}, (7, 300))
        assert read is not None and np.array_equal(read, mask)


def test_one_line_round_a_mask_covers_its_pixels_and_no_others() -> None:
    rng = np.random.default_rng(1)
    for _ in range(40):
        size = tuple(rng.integers(1, 12, 2))
        mask = (rng.random(size) < rng.random()).astype(np.uint8)
        polygons = mask_polygons(mask)
        assert abs(sum(map(signed_area, polygons))) == mask.sum()
        points = np.array(joined(polygons)).reshape(-1, 2)
        assert np.array_equal(inside(points, size), mask)


def test_a_square_is_four_points_and_a_pixel_has_an_area() -> None:
    (square,) = mask_polygons(MASK)
    assert sorted(map(tuple, square)) == [(10, 5), (10, 15), (30, 5), (30, 15)]
    (pixel,) = mask_polygons(np.ones((1, 1), np.uint8))
    assert sorted(map(tuple, pixel)) == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("form", [runs, text])
def test_a_mask_becomes_an_outline(tmp_path: Path, form) -> None:
    shaded_image(tmp_path / "in/0.png")
    outline = {"size": [50, 100], "counts": form(MASK)}
    coco(tmp_path / "in/a.json", ["0.png"], [{"segmentation": outline, "bbox": [0, 0, 1, 1]}])
    result = converted("coco", tmp_path / "in", segments=True)
    points = np.array(result.labels["a/0.png"][0].split()[1:], float).reshape(-1, 2) * (100, 50)
    assert sorted(map(tuple, points.round(4))) == [(10, 5), (10, 15), (30, 5), (30, 15)]
    assert not result.done.noticed and not result.done.skipped
    assert converted("coco", tmp_path / "in").labels["a/0.png"] == ["0 0.005000 0.010000 0.010000 0.020000"]


@pytest.mark.parametrize(
    ("outline", "reason"),
    [
        ([], "objects without an outline"),
        (None, "objects without an outline"),
        ([[10, 5, 30, 15]], "objects with outlines of fewer than three points"),
        ([[10, 5, 30, 15, 20]], "objects with outlines of fewer than three points"),
        ([[10, 5, 30, 15, 10**400, 5]], "objects with outlines of fewer than three points"),
        ([[10, 5, float("nan"), 15, 10, 5]], "objects with outlines of fewer than three points"),
        ([[10, 5, 30, 5, 20, 5]], "objects whose outline has no area in their picture"),
        ({"size": [50, 100], "counts": [5000]}, "objects whose mask is empty"),
        ({"size": [50, 100], "counts": [4999]}, "objects whose mask cannot be used"),
        ({"size": [50, 100], "counts": [-1, 5001]}, "objects whose mask cannot be used"),
        ({"size": [50, 100], "counts": "é"}, "objects whose mask cannot be used"),
        ({"size": [50, 100], "counts": "oooooooooooooooooooo"}, "objects whose mask cannot be used"),
        ({"size": [100, 50], "counts": [0, 5000]}, "objects whose mask cannot be used"),
        ({"size": [2**40, 2**40], "counts": [2**80]}, "objects whose mask cannot be used"),
        ({"counts": [5000]}, "objects whose mask cannot be used"),
    ],
)
@pytest.mark.parametrize("sized", [True, False])
def test_objects_that_stay_boxes_are_counted(tmp_path: Path, outline: object, reason: str, sized: bool) -> None:
    shaded_image(tmp_path / "in/0.png")
    more = {} if sized else {"images": [{"id": 0, "file_name": "0.png"}]}
    coco(tmp_path / "in/a.json", ["0.png"], [{"segmentation": outline}], **more)
    result = converted("coco", tmp_path / "in", segments=True)
    assert result.labels == {"a/0.png": [f"0 {LINE}"]} and not result.done.skipped
    assert result.done.noticed == {f"{reason}: kept as boxes": 1}
    assert not converted("coco", tmp_path / "in").done.noticed  # nobody asked for outlines


def test_parts_that_are_left_out_are_counted() -> None:
    noticed = Tally()
    assert object_outline([[0, 0, 1, 1], [0, 0, 4, 0, 4, 4]], None, noticed) == (0, 0, 4, 0, 4, 4)
    assert noticed == {"further parts of objects, left out for having fewer than three points": 1}
