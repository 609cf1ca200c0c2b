"""What of a view's canvas can get into its result."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from yolo.data.letterbox import Size
from yolo.data.plan import Tile, View

_REACH = 2.0  # pixels of the canvas: one for bilinear sampling, one for fixed-point coordinates
_LEAST_AREA = 1e-6  # of a matrix that can be turned round


class Box(NamedTuple):
    """Pixels from (x0, y0) up to and without (x1, y1)."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def size(self) -> Size:
        return self.y1 - self.y0, self.x1 - self.x0

    def within(self, other: Box) -> Box:
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        return Box(x0, y0, max(min(self.x1, other.x1), x0), max(min(self.y1, other.y1), y0))

    def moved(self, x: int, y: int) -> Box:
        return Box(self.x0 + x, self.y0 + y, self.x1 + x, self.y1 + y)


def is_affine(view: View) -> bool:
    """Whether ``view`` is nothing but tiles and an affine map that can be turned round."""
    if view.pastes:
        return False
    matrix = view.matrix
    return matrix is None or (np.array_equal(matrix[2], (0, 0, 1)) and bool(abs(np.linalg.det(matrix)) >= _LEAST_AREA))


def window(view: View) -> Box:
    """The part of the canvas that can get into the result of an affine ``view``; a side of 0 where none can."""
    canvas = Box(0, 0, view.canvas[1], view.canvas[0])
    if view.matrix is None:
        return canvas
    height, width = view.size
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float64)
    back = corners @ np.linalg.inv(view.matrix).T
    low, high = back[:, :2].min(0) - _REACH, back[:, :2].max(0) + _REACH
    x0, y0, x1, y1 = (math.floor(low[0]), math.floor(low[1]), math.ceil(high[0]), math.ceil(high[1]))
    return Box(x0, y0, x1, y1).within(canvas)


def part_within(tile: Tile, box: Box) -> Box:
    """The part of the canvas that ``tile`` covers in ``box``; a side of 0 where it covers nothing."""
    return Box(0, 0, tile.resized[1], tile.resized[0]).moved(*tile.offset).within(box)


def seen_tiles(view: View) -> tuple[Tile, ...]:
    """The tiles of which something can get into the view's result; all where it is more than an affine map."""
    if view.matrix is None or not is_affine(view):
        return view.tiles
    box = window(view)
    return tuple(tile for tile in view.tiles if all(part_within(tile, box).size))
