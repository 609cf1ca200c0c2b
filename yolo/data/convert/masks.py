"""Outlines of COCO objects: polygons as they are, run-length masks traced along the edges of their pixels."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo.data.convert.outline import joined
from yolo.data.convert.records import Tally, count, is_number

_MOST_PIXELS = 2**30
"""OpenCV reads no larger image, so a larger mask has none."""
_BOXES = "kept as boxes"


def object_outline(segmentation: Any, size: tuple[int, int] | None, noticed: Tally) -> tuple[float, ...]:
    """One outline ``x, y, x, y, …`` in pixels of an object's ``segmentation``; (), which is ``noticed``, without any.

    ``segmentation`` is a list of polygons or a run-length mask, ``size`` the image's height and width.
    """
    if isinstance(segmentation, dict):
        mask = decode_mask(segmentation, size)
        parts = mask_polygons(mask) if mask is not None else []
        reason = "objects whose mask cannot be used" if mask is None else "objects whose mask is empty"
    else:
        every = segmentation if isinstance(segmentation, list) else []
        parts = [part for part in every if _is_polygon(part)]
        reason = "objects with outlines of fewer than three points" if every else "objects without an outline"
        if parts:
            count(
                noticed,
                "further parts of objects, left out for having fewer than three points",
                len(every) - len(parts),
            )
    if not parts:
        count(noticed, f"{reason}: {_BOXES}")
    return joined(parts)


def _is_polygon(part: Any) -> bool:
    numbers = isinstance(part, list) and len(part) >= 6 and len(part) % 2 == 0
    return numbers and all(is_number(value) and math.isfinite(value) for value in part)


def decode_mask(record: dict, size: tuple[int, int] | None) -> NDArray[np.uint8] | None:
    """The mask, uint8 ``[H, W]`` of 0 and 1, of COCO's ``size`` and ``counts``, which run down the columns.

    ``counts`` is a list or COCO's text. None for what is no mask, or one of another ``size`` than the image's.
    """
    sides, counts = record.get("size"), record.get("counts")
    if not isinstance(sides, list) or len(sides) != 2 or not all(isinstance(side, int) for side in sides):
        return None
    height, width = sides
    if min(sides) < 1 or height * width > _MOST_PIXELS or (size and (height, width) != size):
        return None
    runs = _text_runs(counts) if isinstance(counts, str) else counts
    good = isinstance(runs, list) and all(isinstance(run, int) and run >= 0 for run in runs)
    if not good or sum(runs) != height * width:
        return None
    flat = np.repeat(np.arange(len(runs), dtype=np.int64) % 2 == 1, runs)
    return flat.reshape(width, height).T.astype(np.uint8)


def _text_runs(text: str) -> list[int] | None:
    """COCO's text as numbers: 5 bits a character, the lowest first; from the fourth on, less the last but one."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (bits & 16) << (shift - 4)  # the sign
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return None if shift else runs


def mask_polygons(mask: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """The polygons ``[n, 2]`` (xy, pixels) round a mask ``[H, W]``, and round its holes in the opposite sense.

    They run along the pixels' edges: one pixel has area 1, and the signed areas add up to the mask's.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return []
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    # OpenCV's contours run through the centres of pixels. Each quarter of a pixel has one corner of it: on a mask of
    # quarters they run through the corners.
    quarters = part.repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(quarters, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [_corners((contour[:, 0] + 1) // 2) + (columns[0], rows[0]) for contour in contours]


def _corners(points: NDArray[np.int32]) -> NDArray[np.float64]:
    """The points where the closed line turns."""
    points = points[(points != np.roll(points, 1, axis=0)).any(1)]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]].astype(np.float64)
