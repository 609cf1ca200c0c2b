"""The OpenCV renderer: a thread for each sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo.data.extras import apply_extras
from yolo.data.image_cache import ImageCache
from yolo.data.images import limit_opencv_threads, load_image
from yolo.data.letterbox import FILL, letterbox_into
from yolo.data.plan import SamplePlan, Tile, View
from yolo.data.renderers.window import seen_tiles
from yolo.errors import DataError

_GREY = (FILL, FILL, FILL)


class OpenCVRenderer:
    """Makes every sample. Threads, because OpenCV releases the GIL and OneFlow must not be forked.

    OpenCV's own threads are switched off for the whole process.
    """

    def __init__(self, paths: Sequence[Path], threads: int, cache: ImageCache | None = None) -> None:
        limit_opencv_threads()
        self._paths, self._cache = paths, cache
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="renderer") if threads else None

    def supports(self, plan: SamplePlan) -> bool:
        return True

    def render(self, plans: Sequence[SamplePlan], out: Sequence[NDArray[np.uint8]]) -> None:
        if self._pool is None:
            for plan, planes in zip(plans, out):
                self._render(plan, planes)
            return
        samples = [self._pool.submit(self._render, plan, planes) for plan, planes in zip(plans, out)]
        for error in [sample.exception() for sample in samples]:  # all have ended before one is raised
            if error is not None:
                raise error

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _render(self, plan: SamplePlan, planes: NDArray[np.uint8]) -> None:
        height, width = planes.shape[1:]
        try:
            if plan.letterbox is not None and plan.size == (height, width):
                letterbox_into(planes, self._load(plan.views[0].tiles[0], plan.augmented), plan.letterbox)
                return
            image = _render_sample(plan, lambda tile: self._load(tile, plan.augmented))
            if image.shape[:2] != (height, width):
                image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
            cv2.split(image, list(planes))
        except cv2.error as error:
            raise DataError(f"the sample cannot be made ({error})", where=self._paths[plan.index]) from error

    def _load(self, tile: Tile, augmented: bool) -> NDArray[np.uint8]:
        kept = None if self._cache is None else self._cache.get(tile.image, tile.resized, augmented)
        return load_image(self._paths[tile.image], tile.resized, augmented=augmented) if kept is None else kept


def _render_sample(plan: SamplePlan, load: Callable[[Tile], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The image that ``plan`` describes: RGB, uint8 ``[H, W, 3]``."""
    image = _render_view(plan.views[0], load)
    for view in plan.views[1:]:
        other = _render_view(view, load)
        image = cv2.addWeighted(image, plan.share, other, 1 - plan.share, 0)
    image = apply_extras(image, plan.extras)
    if plan.hsv is not None:
        image = shift_colours(image, plan.hsv)
    if plan.flip_vertical:
        image = cv2.flip(image, 0)
    return cv2.flip(image, 1) if plan.flip_horizontal else image


def shift_colours(image: NDArray[np.uint8], gains: tuple[float, float, float]) -> NDArray[np.uint8]:
    """``image`` (RGB) with hue, saturation and value multiplied by ``gains``, through 8-bit tables."""
    levels = np.arange(256)
    tables = np.stack(
        [
            levels * gains[0] % 180,  # OpenCV's hue is in units of two degrees
            np.clip(levels * gains[1], 0, 255),
            np.clip(levels * gains[2], 0, 255),
        ],
        axis=-1,
    ).astype(np.uint8)[None]
    hsv = cv2.LUT(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), tables)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _render_view(view: View, load: Callable[[Tile], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    canvas = np.full((*view.canvas, 3), FILL, np.uint8)
    for tile in seen_tiles(view):  # decoding is most of a sample's time
        _lay(canvas, tile, load(tile))
    if view.pastes:
        _paste_mirrored(canvas, view.pastes)
    if view.matrix is None:
        return canvas
    size = view.size[1], view.size[0]
    if np.array_equal(view.matrix[2], (0, 0, 1)):
        return cv2.warpAffine(canvas, view.matrix[:2], size, borderValue=_GREY)
    return cv2.warpPerspective(canvas, view.matrix, size, borderValue=_GREY)


def _lay(canvas: NDArray[np.uint8], tile: Tile, image: NDArray[np.uint8]) -> None:
    left, top = max(tile.offset[0], 0), max(tile.offset[1], 0)
    cut_x, cut_y = left - tile.offset[0], top - tile.offset[1]
    place = canvas[top : top + image.shape[0] - cut_y, left : left + image.shape[1] - cut_x]
    place[:] = image[cut_y : cut_y + place.shape[0], cut_x : cut_x + place.shape[1]]


def _paste_mirrored(canvas: NDArray[np.uint8], polygons: Sequence[NDArray[np.int32]]) -> None:
    mask = np.zeros(canvas.shape[:2], np.uint8)
    for polygon in polygons:  # one at a time: together, overlaps would count as holes
        cv2.fillPoly(mask, [polygon], 1)
    cv2.copyTo(cv2.flip(canvas, 1), cv2.flip(mask, 1), canvas)
