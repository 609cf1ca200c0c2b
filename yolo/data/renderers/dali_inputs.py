"""Sample plans as the inputs of the DALI pipeline.

A batch is a row of slots, DALI's samples. Slot ``k`` has the ``k``-th of all tiles that are seen and, apart from that,
the ``k``-th view: first one of each sample, then the second ones, which are blended into the first. A view is pasted
from the tiles of any slots. The last slot has the grey below the tiles. A slot without a view has one of one pixel,
which is left out of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo.data.images import divisor
from yolo.data.letterbox import FILL, Size
from yolo.data.plan import SamplePlan, Tile, View
from yolo.data.renderers.window import Box, part_within, window

HALVINGS = 3
"""How often an image is halved at most, as often as libjpeg can."""

NUMBERS: dict[str, tuple[tuple[int, ...], Any]] = {
    "encoded": ((), np.bool_),
    "start": ((2,), np.int32),
    "shape": ((2,), np.int32),
    "halvings": ((), np.int32),
    "half_sizes": ((HALVINGS, 2), np.float32),
    "resized": ((), np.bool_),
    "size": ((2,), np.float32),
    "roi_start": ((2,), np.float32),
    "roi_end": ((2,), np.float32),
    "canvas": ((2,), np.int32),
    "warped": ((), np.bool_),
    "matrix": ((2, 3), np.float32),
    "view_size": ((2,), np.float32),
    "blended": ((), np.bool_),
    "other": ((), np.int32),
    "share": ((), np.float32),
    "coloured": ((), np.bool_),
    "gains": ((3,), np.float32),
    "flipped": ((), np.bool_),
    "vertical": ((), np.int32),
    "horizontal": ((), np.int32),
    "rescaled": ((), np.bool_),
    "out_size": ((2,), np.float32),
    "left_out": ((), np.bool_),
}
"""The inputs with an array of one shape for each slot: that shape, and the dtype. Places and sizes are (y, x)."""

_MARGIN = 2  # pixels of the image around a part that is resized
_NOTHING = cv2.imencode(".jpg", np.full((8, 8, 3), FILL, np.uint8))[1]


@dataclass(frozen=True, eq=False)
class Encoded:
    """The bytes ``[n]`` of a file, and the size of the image in it."""

    content: NDArray[np.uint8]
    size: Size


Source = Encoded | NDArray[np.uint8]
"""Of a tile: a file, or pixels as the tile wants them, RGB ``[*resized, 3]``."""


File = tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32]]
"""What is decoded: bytes, start and shape of the part that is wanted."""


class Slots:
    """The batch of ``plans``; ``load`` gives a tile that is seen, of a sample that is augmented or not."""

    def __init__(
        self, plans: Sequence[SamplePlan], sizes: Sequence[Size], load: Callable[[Tile, bool], Source]
    ) -> None:
        """``sizes``: of the results, to which they are resized where they differ."""
        self.count = len(plans)
        """Of samples."""
        self.decoded: dict[int, int] = {}
        """The slots with a file, and which image of the index it is."""
        views = [(plan, plan.views[0]) for plan in plans]
        views += [(plan, view) for plan in plans for view in plan.views[1:]]
        boxes = [_at_least_a_pixel(window(view)) for _, view in views]
        tiles = [[(tile, part) for tile, part in _seen(view, box)] for (_, view), box in zip(views, boxes)]
        self._begin(max(sum(map(len, tiles)), len(views)) + 1)
        slot = 0
        for number, ((plan, view), box) in enumerate(zip(views, boxes)):
            self._view(number, view, box, [(slot + k, part) for k, (_, part) in enumerate(tiles[number])])
            for tile, part in tiles[number]:
                self._tile(slot, tile, part.moved(-tile.offset[0], -tile.offset[1]), load(tile, plan.augmented))
                slot += 1
        self._pixels[-1] = _grey(tuple(np.max([box.size for box in boxes] or [(1, 1)], axis=0).tolist()))
        second = len(plans)
        for number, (plan, size) in enumerate(zip(plans, sizes)):
            self._sample(number, plan, size)
            if len(plan.views) > 1:
                self._set(number, blended=True, other=second, share=plan.share)
                second += 1

    def inputs(self) -> dict[str, Any]:
        """By name, what the pipeline is fed with: an array for all slots, or a list with one for each."""
        ragged = {"file": self._files, "pixels": self._pixels, "ids": self._ids, "to": self._to, "pasted": self._pasted}
        return {**self._numbers, **ragged}

    def files(self) -> list[tuple[int, File]]:
        """Of each slot that is decoded the image of the index, and what is decoded."""
        numbers = self._numbers
        return [
            (image, (self._files[slot], numbers["start"][slot], numbers["shape"][slot]))
            for slot, image in self.decoded.items()
        ]

    def _begin(self, length: int) -> None:
        self._numbers = {name: np.zeros((length, *shape), dtype) for name, (shape, dtype) in NUMBERS.items()}
        self._numbers["canvas"][:] = 1
        self._numbers["other"][:] = length - 1
        self._numbers["left_out"][self.count :] = True
        self._files, self._pixels = [_NOTHING] * length, [_grey((1, 1))] * length
        self._ids = [np.array([slot], np.int32) for slot in range(length)]
        self._to, self._pasted = [np.zeros((1, 2), np.int32)] * length, [np.ones((1, 2), np.int32)] * length

    def _set(self, slot: int, **values: Any) -> None:
        for name, value in values.items():
            self._numbers[name][slot] = value

    def _view(self, number: int, view: View, box: Box, tiles: Sequence[tuple[int, Box]]) -> None:
        """``tiles``: slots, and their parts of the canvas. Grey lies below them."""
        grey = len(self._files) - 1
        self._ids[number] = np.array([grey, *(slot for slot, _ in tiles)], np.int32)
        corners = [(part.y0 - box.y0, part.x0 - box.x0) for _, part in tiles]
        self._to[number] = np.array([(0, 0), *corners], np.int32)
        self._pasted[number] = np.array([box.size, *(part.size for _, part in tiles)], np.int32)
        self._set(number, canvas=box.size)
        if view.matrix is not None:
            matrix = view.matrix @ _shift(box.x0, box.y0)
            # DALI's coordinates are of the corners of pixels, OpenCV's of their centres.
            back = _shift(0.5, 0.5) @ np.linalg.inv(matrix) @ _shift(-0.5, -0.5)
            self._set(number, warped=True, matrix=back[:2], view_size=view.size)

    def _tile(self, slot: int, tile: Tile, part: Box, source: Source) -> None:
        """``part`` is of the resized image."""
        if not isinstance(source, Encoded):
            self._pixels[slot] = np.ascontiguousarray(source[part.y0 : part.y1, part.x0 : part.x1])
            return
        self._files[slot], self.decoded[slot] = source.content, tile.image
        by = divisor(source.size, tile.resized)
        size = -(-np.array(source.size) // by)
        start, end = np.array(((part.y0, part.x0), (part.y1, part.x1)))
        if tuple(size) != tile.resized:
            low, high = size / tile.resized * ((part.y0, part.x0), (part.y1, part.x1))
            start = np.maximum(np.floor(low).astype(int) - _MARGIN, 0)
            end = np.minimum(np.ceil(high).astype(int) + _MARGIN, size)
            self._set(slot, resized=True, size=part.size, roi_start=low - start, roi_end=high - start)
        shape = np.minimum(end * by, source.size) - start * by
        self._set(slot, encoded=True, start=start * by, shape=shape, halvings=by.bit_length() - 1)
        self._set(slot, half_sizes=[-(-shape // 2**k) for k in range(1, HALVINGS + 1)])

    def _sample(self, number: int, plan: SamplePlan, size: Size) -> None:
        if plan.hsv is not None:
            self._set(number, coloured=True, gains=plan.hsv)
        if plan.flip_vertical or plan.flip_horizontal:
            self._set(number, flipped=True, vertical=plan.flip_vertical, horizontal=plan.flip_horizontal)
        if plan.size != size:
            self._set(number, rescaled=True, out_size=size)


def _seen(view: View, box: Box) -> Iterator[tuple[Tile, Box]]:
    """The tiles of which something lies in ``box``, and that part of the canvas."""
    for tile in view.tiles:
        part = part_within(tile, box)
        if all(part.size):
            yield tile, part


def _at_least_a_pixel(box: Box) -> Box:
    """What DALI needs of a canvas that nothing is seen of."""
    return box if all(box.size) else Box(0, 0, 1, 1)


def _grey(size: Size) -> NDArray[np.uint8]:
    return np.full((*size, 3), FILL, np.uint8)


def _shift(x: float, y: float) -> NDArray[np.float64]:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def empty_batch() -> Slots:
    """A batch of no samples."""
    return Slots((), (), _unasked)


def _unasked(tile: Tile, augmented: bool) -> Source:
    raise AssertionError("no tile is asked for")
