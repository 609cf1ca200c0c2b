"""The labelled objects of a sample while it is planned: boxes and polygons in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo.data.letterbox import Size

Array = NDArray[np.float64]

_POLYGON_POINTS = 1000
_EDGE = 1e-3  # pixels that boxes keep from the right and lower edge, so that centres stay below 1

MIN_SIDE = 2.0
MAX_ASPECT = 100.0
MIN_AREA = 0.1
MIN_AREA_POLYGON = 0.01


@dataclass(frozen=True, eq=False)
class Objects:
    """``classes`` ``[n]``, ``boxes`` ``[n, 4]`` xyxy pixels, a polygon ``[k, 2]`` each (``[0, 2]``: none)."""

    classes: Array
    boxes: Array
    polygons: list[Array]

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True, eq=False)
class Placed:
    """Label rows (class, xywhn) and polygons (xyn) of an image of ``size`` that lies at ``offset`` (x, y)."""

    rows: NDArray[np.float32]
    segments: Sequence[NDArray[np.float32]]
    size: Size
    offset: tuple[float, float]


def place(parts: Sequence[Placed]) -> Objects:
    """The objects of all ``parts``, in order."""
    rows = np.concatenate([part.rows for part in parts])
    counts = [len(part.rows) for part in parts]
    scales = [np.array([part.size[1], part.size[0]], np.float64) for part in parts]
    scale, offset = np.repeat(scales, counts, axis=0), np.repeat([part.offset for part in parts], counts, axis=0)
    centre, half = rows[:, 1:3] * scale + offset, rows[:, 3:5] * scale / 2
    polygons = [
        segment * scale + part.offset if len(segment) else segment
        for part, scale in zip(parts, scales)
        for segment in part.segments
    ]
    return Objects(rows[:, 0].astype(np.float64), np.concatenate([centre - half, centre + half], axis=1), polygons)


def join(parts: Sequence[Objects]) -> Objects:
    """The objects of all ``parts``, in order."""
    return Objects(
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        [polygon for part in parts for polygon in part.polygons],
    )


def clip(objects: Objects, size: Size) -> Objects:
    """``objects`` with every coordinate moved into the image."""
    edge = np.array([size[1], size[0]], np.float64)
    return Objects(
        objects.classes,
        _within(objects.boxes, np.concatenate([edge, edge])),
        [_within(polygon, edge) if len(polygon) else polygon for polygon in objects.polygons],
    )


def _within(values: Array, edge: Array) -> Array:
    """``values`` from 0 to ``edge``: as np.clip, in a quarter of its time for a few values."""
    return np.minimum(np.maximum(values, 0), edge)


def warp(objects: Objects, matrix: Array, scale: float, size: Size) -> Objects:
    """``objects`` moved by ``matrix`` ``[3, 3]`` into an image of ``size``; those hardly seen are left out.

    The box of an object with a polygon is the box of its warped polygon, which fits tighter than the box
    of its warped box. ``scale`` is the matrix's own enlargement: areas are compared relative to it.
    """
    if not len(objects):
        return objects
    has_polygon = np.array([len(polygon) > 0 for polygon in objects.polygons])
    boxes = warp_boxes(objects.boxes, matrix, size)
    polygons = list(objects.polygons)
    for position in np.flatnonzero(has_polygon):
        polygons[position] = warp_points(resample(polygons[position]), matrix)
        boxes[position] = polygon_box(polygons[position], size)
    least = np.where(has_polygon, MIN_AREA_POLYGON, MIN_AREA)
    kept = np.flatnonzero(is_visible(objects.boxes * scale, boxes, least))
    return Objects(objects.classes[kept], boxes[kept], [polygons[position] for position in kept])


def warp_points(points: Array, matrix: Array) -> Array:
    """``points`` ``[n, 2]`` (x, y) moved by ``matrix`` ``[3, 3]``, perspective included."""
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    return moved[:, :2] / moved[:, 2:]


def warp_boxes(boxes: Array, matrix: Array, size: Size) -> Array:
    """The upright boxes (xyxy, ``[n, 4]``) around the four moved corners, clipped to ``size``."""
    corners = warp_points(boxes[:, [0, 1, 2, 3, 0, 3, 2, 1]].reshape(-1, 2), matrix).reshape(-1, 4, 2)
    edge = (size[1], size[0])
    return _within(np.concatenate([corners.min(1), corners.max(1)], axis=1), np.array([*edge, *edge], np.float64))


def resample(polygon: Array, points: int = _POLYGON_POINTS) -> Array:
    """The closed ``polygon`` ``[k, 2]`` as ``points`` points, the same number along every side."""
    closed = np.concatenate([polygon, polygon[:1]])
    wanted = np.linspace(0, len(polygon), points)
    known = np.arange(len(closed))
    return np.stack([np.interp(wanted, known, closed[:, axis]) for axis in (0, 1)], axis=1)


def polygon_box(points: Array, size: Size) -> Array:
    """The box (xyxy) of those points that lie inside the image, zeros when none does."""
    inside = points[((points >= 0) & (points <= (size[1], size[0]))).all(1)]
    return np.concatenate([inside.min(0), inside.max(0)]) if len(inside) else np.zeros(4)


def is_visible(before: Array, after: Array, least_area: Array | float = MIN_AREA) -> NDArray[np.bool_]:
    """Which boxes (xyxy, ``[n, 4]``) are still worth a label after the warp.

    Kept are those with sides over 2 pixels, more than the share ``least_area`` of their area ``before``,
    and a side ratio below 100.
    """
    tiny = 1e-16
    old, new = before[:, 2:] - before[:, :2], after[:, 2:] - after[:, :2]
    sides = new / (new[:, ::-1] + tiny)
    return (new > MIN_SIDE).all(1) & (new.prod(1) / (old.prod(1) + tiny) > least_area) & (sides.max(1) < MAX_ASPECT)


def to_rows(objects: Objects, size: Size) -> NDArray[np.float32]:
    """Label rows (class, xywhn; float32 ``[n, 5]``) in an image of ``size``, clipped to it."""
    edge = np.array([size[1], size[0]], np.float64)
    boxes = _within(objects.boxes, np.concatenate([edge, edge]) - _EDGE)
    low, high = boxes[:, :2], boxes[:, 2:]
    parts = [objects.classes[:, None], (low + high) / 2 / edge, (high - low) / edge]
    return np.concatenate(parts, axis=1).astype(np.float32)
