"""The native renderer: whole samples in C++, of every image only what is seen."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo import native
from yolo.data.image_cache import ImageCache
from yolo.data.images import limit_opencv_threads, load_image
from yolo.data.letterbox import Size
from yolo.data.plan import SamplePlan, Tile, View
from yolo.data.renderers.jpeg_library import jpeg_library
from yolo.data.renderers.window import seen_tiles

_LOG = logging.getLogger("yolo.data")
_JPEG_SUFFIXES = frozenset((".jpg", ".jpeg", ".mpo"))

Key = tuple[int, Size, bool]
"""An image by its position in the index, its size, and whether it is to be augmented."""


class NativeRenderer:
    """Makes samples without extras and odd colours, on at most ``threads`` of the process's; with 0 on its caller's.

    JPEG files are read by libjpeg-turbo, of each only the rows and columns that are seen; one that becomes half as
    large or less is decoded at a half, a quarter or an eighth of its size. What that reader does not take (other
    formats, other kinds of JPEG, damaged files) is read by OpenCV on ``threads``.
    """

    def __init__(self, paths: Sequence[Path], threads: int, cache: ImageCache | None = None) -> None:
        limit_opencv_threads()
        self._paths, self._cache, self._threads = paths, cache, threads
        self._renderer = native.Renderer(jpeg_library())
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="renderer") if threads else None
        self._others: set[int] = set()
        """Images that OpenCV reads although their names are those of JPEG files."""

    def supports(self, plan: SamplePlan) -> bool:
        return not plan.extras and not plan.has_odd_colours

    def render(self, plans: Sequence[SamplePlan], out: Sequence[NDArray[np.uint8]]) -> None:
        keys = (_key(plan, tile) for plan in plans for view in plan.views for tile in seen_tiles(view))
        images = self._images(key for key in keys if self._cache is not None or self._by_opencv(key[0]))
        while plans:
            samples = [self._sample(plan, planes, images) for plan, planes in zip(plans, out)]
            unread = sorted(self._renderer.render(samples, self._threads))
            keys = [_key(plans[k], plans[k].views[view].tiles[tile]) for k, view, tile in unread]
            self._others.update(image for image, _, _ in keys)
            images |= self._images(keys)
            again = sorted({k for k, _, _ in unread})
            plans, out = [plans[k] for k in again], [out[k] for k in again]

    def close(self) -> None:
        self._renderer.close()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _by_opencv(self, image: int) -> bool:
        return image in self._others or self._paths[image].suffix.lower() not in _JPEG_SUFFIXES

    def _images(self, keys: Iterable[Key]) -> dict[Key, NDArray[np.uint8]]:
        """The pixels of ``keys``, each read once, in their order: the first that cannot be read is the one named."""
        keys = list(dict.fromkeys(keys))
        return dict(zip(keys, map(self._load, keys) if self._pool is None else self._pool.map(self._load, keys)))

    def _load(self, key: Key) -> NDArray[np.uint8]:
        image, size, augmented = key
        kept = None if self._cache is None else self._cache.get(image, size, augmented)
        return load_image(self._paths[image], size, augmented=augmented) if kept is None else kept

    def _sample(self, plan: SamplePlan, planes: NDArray[np.uint8], images: dict[Key, NDArray[np.uint8]]) -> tuple:
        """As ``csrc/render/bindings.cpp`` takes it."""
        views = []
        for view in plan.views:
            tiles = []
            for tile in view.tiles:
                image = images.get(_key(plan, tile))
                source = os.fsencode(self._paths[tile.image]) if image is None else image
                tiles.append((source, tile.resized, *tile.offset))
            matrix = None if view.matrix is None else view.matrix.ravel().tolist()
            views.append((view.canvas, view.size, matrix, _pasted(view), tiles))
        flips = plan.flip_vertical, plan.flip_horizontal
        return planes, plan.size, views, plan.share, plan.hsv, *flips, "augmented" if plan.augmented else "area"


def _key(plan: SamplePlan, tile: Tile) -> Key:
    return tile.image, tile.resized, plan.augmented


def _pasted(view: View) -> NDArray[np.uint8] | None:
    """1 for each pixel of the canvas that the pasted, mirrored polygons cover."""
    if not view.pastes:
        return None
    mask = np.zeros(view.canvas, np.uint8)
    for polygon in view.pastes:  # one at a time: together, overlaps would count as holes
        cv2.fillPoly(mask, [polygon], 1)
    return np.ascontiguousarray(cv2.flip(mask, 1))
