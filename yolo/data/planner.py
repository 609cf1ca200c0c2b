"""The planner: decides everything about every sample of every epoch, and keeps no state."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from yolo.data import objects as obj
from yolo.data.augment import Augmentation, affine_matrix, copy_paste, hsv_gains, mosaic_tiles
from yolo.data.extras import Extra, draw_extras
from yolo.data.letterbox import Size, fit, resized_size
from yolo.data.plan import SamplePlan, Tile, View
from yolo.data.records import Index

_ORDER = 2**32 - 1  # no image has this number, so an epoch's order shares no stream with a sample


class Planner:
    """Sample plans for an index; the same arguments give the same plan, in any order and any process.

    ``hyp`` is None for samples that are only resized and padded. ``mosaic`` is off for rectangular
    batches, whose images must keep their aspect. From epoch ``mosaic_end`` on (None: never) there is no mosaic.
    ``extras``: see ``yolo.data.extras``; with them all other decisions are as without.
    """

    def __init__(
        self,
        index: Index,
        hyp: Augmentation | None,
        imgsz: int,
        *,
        seed: int = 0,
        mosaic: bool = True,
        mosaic_end: int | None = None,
        extras: bool = False,
    ) -> None:
        self.index, self.hyp, self.imgsz, self.seed = index, hyp, imgsz, seed
        self.mosaic, self.mosaic_end, self.extras = mosaic, mosaic_end, extras

    def plan(
        self,
        epoch: int,
        i: int,
        size: Size | None = None,
        *,
        repeat: int = 0,
        partners: NDArray[np.int64] | None = None,
    ) -> SamplePlan:
        """What sample ``i`` of the index is in ``epoch``; ``size`` is ``(imgsz, imgsz)`` unless given.

        ``repeat``: how often image ``i`` came before in this epoch, so that each time it looks different.
        ``partners``: the images of which a mosaic takes three more (default: all alike).
        """
        size = size or (self.imgsz, self.imgsz)
        if self.hyp is None:
            return self._plain(i, size)
        rng = np.random.default_rng([self.seed, epoch, i, *([repeat] if repeat else [])])
        if self._may_mosaic(epoch) and rng.random() < self.hyp.mosaic:
            parts = [self._mosaic(rng, self.hyp, i, partners)]
            size = parts[0][0].size
            if rng.random() < self.hyp.mixup:
                parts.append(self._mosaic(rng, self.hyp, int(rng.integers(len(self.index))), partners))
        else:
            parts = [self._single(rng, self.hyp, i, size)]
        share = float(rng.beta(32.0, 32.0)) if len(parts) > 1 else 1.0
        rows = obj.to_rows(obj.join([objects for _, objects in parts]), size)
        hsv = hsv_gains(rng, self.hyp)
        vertical, horizontal = (rng.random(2) < (self.hyp.flipud, self.hyp.fliplr)).tolist()
        if vertical:
            rows[:, 2] = 1 - rows[:, 2]
        if horizontal:
            rows[:, 1] = 1 - rows[:, 1]
        return SamplePlan(
            index=i,
            size=size,
            views=tuple(view for view, _ in parts),
            labels=rows,
            share=share,
            extras=self._extras(epoch, i, repeat),
            hsv=hsv,
            flip_vertical=vertical,
            flip_horizontal=horizontal,
            augmented=True,
        )

    def _may_mosaic(self, epoch: int) -> bool:
        return self.mosaic and (self.mosaic_end is None or epoch < self.mosaic_end)

    def _extras(self, epoch: int, i: int, repeat: int) -> tuple[Extra, ...]:
        return draw_extras(np.random.default_rng([self.seed, epoch, i, repeat, 1])) if self.extras else ()

    def _original(self, i: int) -> Size:
        return int(self.index.shapes[i, 0]), int(self.index.shapes[i, 1])

    def _placed(self, i: int, size: Size, offset: tuple[float, float]) -> obj.Placed:
        return obj.Placed(self.index.labels[i], self.index.segments[i], size, offset)

    def _plain(self, i: int, size: Size) -> SamplePlan:
        original = self._original(i)
        box = fit(original, size, source=resized_size(original, self.imgsz), scaleup=False)
        rows = obj.to_rows(obj.place([self._placed(i, box.resized, box.pad)]), size)
        view = View(size, (Tile(i, box.resized, box.offset),), size)
        return SamplePlan(index=i, size=size, views=(view,), labels=rows, letterbox=box)

    def _single(self, rng: Generator, hyp: Augmentation, i: int, size: Size) -> tuple[View, obj.Objects]:
        """One image, letterboxed and warped."""
        original = self._original(i)
        box = fit(original, size, source=resized_size(original, self.imgsz))
        matrix, scale = affine_matrix(rng, hyp, size, size)
        objects = obj.warp(obj.place([self._placed(i, box.resized, box.pad)]), matrix, scale, size)
        return View(size, (Tile(i, box.resized, box.offset),), size, matrix=matrix), objects

    def _mosaic(
        self, rng: Generator, hyp: Augmentation, i: int, partners: NDArray[np.int64] | None
    ) -> tuple[View, obj.Objects]:
        """Image ``i`` and three others, in any arrangement, warped; the middle of a canvas twice as big."""
        side = self.imgsz
        canvas, size = (2 * side, 2 * side), (side, side)
        x, y = (int(value) for value in rng.uniform(side / 2, 3 * side / 2, 2))
        others = rng.integers(len(self.index) if partners is None else len(partners), size=3)
        images = rng.permutation([i, *(others if partners is None else partners[others])]).tolist()
        sizes = [resized_size(self._original(image), side) for image in images]
        tiles = mosaic_tiles(images, sizes, (x, y))
        parts = [self._placed(tile.image, tile.resized, tile.offset) for tile in tiles]
        objects, pastes = obj.clip(obj.place(parts), canvas), ()
        if hyp.copy_paste > 0:
            objects, pastes = copy_paste(rng, objects, hyp.copy_paste, canvas[1])
        matrix, scale = affine_matrix(rng, hyp, canvas, size)
        return View(canvas, tiles, size, pastes, matrix), obj.warp(objects, matrix, scale, size)


def epoch_order(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of ``n`` images in a training epoch: a permutation of ``0..n-1``."""
    return np.random.default_rng([seed, epoch, _ORDER]).permutation(n)


def label_bound(index: Index, hyp: Augmentation | None) -> int:
    """The most labels that one sample can have, at least 1: what padded labels must have room for."""
    most = int(index.labels.counts.max(initial=0))
    if hyp is None or hyp.mosaic <= 0:
        return max(most, 1)
    polygons = int(index.segments.polygons().max(initial=0))
    # The four images are drawn with replacement, so they may all be the fullest one.
    pasted = round(hyp.copy_paste * 4 * polygons) if hyp.copy_paste > 0 else 0
    return max((4 * most + pasted) * (2 if hyp.mixup > 0 else 1), 1)
