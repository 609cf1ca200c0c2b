"""How samples make up a batch: one image each, or quads; at the size they were made in, or drawn anew each batch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo.data.letterbox import Size

QUAD = 4
"""Samples that make one image of a quad batch."""

_QUADS, _SCALE = 2**32 - 2, 2**32 - 3  # no batch has these numbers: streams of their own


@dataclass(frozen=True)
class Cell:
    """The part of a batch that one sample fills, resized to it."""

    sample: int
    """Number among the batch's samples."""
    image: int
    """Number among the batch's images."""
    corner: tuple[int, int]
    """(top, left) in pixels."""
    size: Size


@dataclass(frozen=True)
class Layout:
    """A batch of ``count`` images of ``size``. Samples without a cell need not be made."""

    count: int
    size: Size
    cells: tuple[Cell, ...]

    def part(self, images: slice) -> Layout:
        """Some images in a row, of the same samples."""
        kept = [cell for cell in self.cells if images.start <= cell.image < images.stop]
        cells = tuple(dataclasses.replace(cell, image=cell.image - images.start) for cell in kept)
        return Layout(images.stop - images.start, self.size, cells)

    def targets(self, images: NDArray[np.uint8]) -> Sequence[NDArray[np.uint8]]:
        """The parts ``[3, h, w]`` of a batch's ``images`` (``[count, 3, *size]``) that its cells fill, in order."""
        if len(self.cells) == self.count:  # an image each
            return images
        return [
            images[cell.image, :, top : top + cell.size[0], left : left + cell.size[1]]
            for cell in self.cells
            for top, left in [cell.corner]
        ]

    def leaders(self) -> list[int]:
        """For each image the first of its samples, after which it is named."""
        first = {cell.image: cell.sample for cell in reversed(self.cells)}
        return [first[image] for image in range(self.count)]

    def join(self, labels: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.float32], ...]:
        """Label rows (class, xywhn) of the images from those of the cells, in order."""
        images: list[list[NDArray[np.float32]]] = [[] for _ in range(self.count)]
        for cell, rows in zip(self.cells, labels):
            images[cell.image].append(rows if cell.size == self.size else _moved(rows, cell, self.size))
        return tuple(parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in images)


@dataclass(frozen=True)
class Layouts:
    """The layout of every training batch, a pure function of seed, epoch and the batch's number.

    ``scales``: multi-scale. Then the longer side of a batch is drawn in [0.5, 1.5] · ``imgsz`` on the grid of
    ``stride`` and the finished images are resized to it, as in YOLOv5: what is seen (mosaic, labels that are kept)
    does not depend on the size, so that the cache of images serves all of them.
    """

    imgsz: int
    stride: int
    seed: int
    quad: bool = False
    scales: bool = False

    def layout(self, epoch: int, number: int, samples: int, size: Size) -> Layout:
        """Of batch ``number`` of an epoch, whose samples are made in ``size``."""
        whole = (2 * size[0], 2 * size[1]) if self.quad else size
        if self.scales:
            rng = np.random.default_rng([self.seed, epoch, number, _SCALE])
            low, high = self._bounds()
            whole = self._scaled(whole, int(rng.integers(low, high)) // self.stride * self.stride)
        if not self.quad:
            return one_each(samples, whole)
        rng = np.random.default_rng([self.seed, epoch, number, _QUADS])
        alone = rng.random(samples // QUAD) < 0.5
        cells = [cell for image, one in enumerate(alone) for cell in _quad(image, bool(one), whole)]
        return Layout(samples // QUAD, whole, tuple(cells))

    def sizes(self, made: Sequence[Size]) -> list[Size]:
        """All sizes that batches may have whose samples are made in the sizes ``made``, largest first."""
        whole = {(2 * size[0], 2 * size[1]) if self.quad else tuple(size) for size in made}
        if self.scales:
            low, high = self._bounds()
            sides = range(low // self.stride * self.stride, high, self.stride)
            whole = {self._scaled(size, side) for size in whole for side in sides}
        return sorted(whole, key=lambda size: (size[0] * size[1], size), reverse=True)

    def _bounds(self) -> tuple[int, int]:
        # YOLOv5's range; at one stride it begins below the grid, and nothing would be left of the images.
        return max(int(self.imgsz * 0.5), self.stride), int(self.imgsz * 1.5) + self.stride

    def _scaled(self, size: Size, side: int) -> Size:
        share = side / max(size)
        height, width = (math.ceil(edge * share / self.stride) * self.stride for edge in size)
        return height, width


def one_each(samples: int, size: Size) -> Layout:
    """An image for each sample."""
    return Layout(samples, size, tuple(Cell(k, k, (0, 0), size) for k in range(samples)))


def _quad(image: int, alone: bool, size: Size) -> list[Cell]:
    """One sample enlarged, or four: upper left, lower left, upper right, lower right."""
    first = QUAD * image
    if alone:
        return [Cell(first, image, (0, 0), size)]
    half = size[0] // 2, size[1] // 2
    corners = (0, 0), (half[0], 0), (0, half[1]), half
    return [Cell(first + k, image, corner, half) for k, corner in enumerate(corners)]


def _moved(rows: NDArray[np.float32], cell: Cell, size: Size) -> NDArray[np.float32]:
    moved = rows.copy()
    scale = np.array([cell.size[1] / size[1], cell.size[0] / size[0]], np.float32)
    moved[:, 1:3] = rows[:, 1:3] * scale + np.array([cell.corner[1] / size[1], cell.corner[0] / size[0]], np.float32)
    moved[:, 3:5] = rows[:, 3:5] * scale
    return moved
