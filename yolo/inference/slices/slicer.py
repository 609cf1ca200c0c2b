"""Large images looked at in slices, beside the look at the whole: small objects are found as well as large ones."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from yolo.data.letterbox import Letterbox, Size, fit, letterbox_into
from yolo.errors import ConfigError
from yolo.inference.runner import Detections, at_once
from yolo.inference.slices.merge import Numbers, Rows, merge
from yolo.inference.slices.windows import Slicing
from yolo.program.detection import NmsSettings

Image = NDArray[np.uint8]
_LARGEST_BATCH = 16
_LEAST_A_WINDOW = 300


def each_window(settings: NmsSettings) -> NmsSettings:
    """What a window, or the whole image, keeps for merging: more than an image may have, where that is little."""
    return dataclasses.replace(settings, max_det=max(settings.max_det, _LEAST_A_WINDOW))


class Slicer:
    """Looks at slices of images and merges what is there with what was found in the whole images.

    All windows of an image have one shape and go through the network in batches. Several threads may use it if ``run``
    lets them.
    """

    def __init__(
        self,
        slicing: Slicing,
        imgsz: Size,
        stride: int,
        settings: NmsSettings,
        run: Callable[[Image], Detections],
        *,
        pixels_at_once: int | None = None,
    ) -> None:
        """``imgsz``: what windows are letterboxed in; ``settings``: what an image keeps in the end; ``run`` gives the
        detections of a batch uint8 ``[B, 3, H, W]``, with ``each_window(settings)``.

        Raises ConfigError for slices smaller than ``stride``.
        """
        if slicing.size < stride:
            hint = f"give at least the network's stride, {stride}"
            raise ConfigError(f"is {slicing.size}", where="slice", hint=hint)
        self._slicing, self._imgsz, self._stride, self._settings = slicing, imgsz, stride, settings
        self._run, self._pixels_at_once = run, pixels_at_once

    def largest_input(self) -> tuple[int, int, int, int]:
        """``[B, 3, H, W]`` of the largest batch of windows that there may be."""
        box = self._fit((self._slicing.size, self._slicing.size))
        return (self._most(box), 3, *box.size)

    def refine(self, images: Iterable[Image], whole: Sequence[Rows]) -> tuple[list[Rows], dict[str, float]]:
        """The detection rows of images, and the seconds that their slices took: preprocess, inference, nms.

        ``images``: RGB uint8 ``[H, W, 3]`` each; ``whole``: what was found in each as a whole, float32 ``[n, 6]`` in
        its pixels.
        """
        seconds = dict.fromkeys(("preprocess", "inference", "nms"), 0.0)
        return [self._refined(image, rows, seconds) for image, rows in zip(images, whole)], seconds

    def _refined(self, image: Image, whole: Rows, seconds: dict[str, float]) -> Rows:
        windows = self._slicing.windows(image.shape[:2])
        if len(windows) == 1:  # it was looked at
            return whole[: self._settings.max_det]
        parts = [rows for batch in self._batches(windows) for rows in self._look(image, batch, seconds)]
        begin = time.perf_counter()
        merged = merge(whole, parts, windows, iou=self._settings.iou, agnostic=self._settings.agnostic)
        seconds["nms"] += time.perf_counter() - begin
        return merged[: self._settings.max_det]

    def _batches(self, windows: Numbers) -> Iterator[Numbers]:
        """As many at once as may be, in powers of two: each number of images is a program of its own."""
        most = self._most(self._window_box(windows))
        while len(windows):
            count = 2 ** (min(most, len(windows)).bit_length() - 1)
            yield windows[:count]
            windows = windows[count:]

    def _look(self, image: Image, windows: Numbers, seconds: dict[str, float]) -> list[Rows]:
        """What is in each of some windows, in pixels of the image."""
        begin = time.perf_counter()
        box = self._window_box(windows)
        batch = np.empty((len(windows), 3, *box.size), np.uint8)
        for planes, (left, top, right, bottom) in zip(batch, windows.tolist()):
            letterbox_into(planes, image[top:bottom, left:right], box)
        seconds["preprocess"] += time.perf_counter() - begin
        found = self._run(batch)
        begin = time.perf_counter()
        parts = found.in_originals([box] * len(windows))
        for rows, (left, top, _, _) in zip(parts, windows.tolist()):
            rows[:, :4] += (left, top, left, top)
        seconds["inference"] += found.network_seconds
        seconds["nms"] += found.nms_seconds + time.perf_counter() - begin
        return parts

    def _window_box(self, windows: Numbers) -> Letterbox:
        left, top, right, bottom = windows[0].tolist()
        return self._fit((bottom - top, right - left))

    def _fit(self, size: Size) -> Letterbox:
        return fit(size, self._imgsz, auto=True, stride=self._stride)

    def _most(self, box: Letterbox) -> int:
        """Windows that go through together."""
        return min(_LARGEST_BATCH, at_once(*box.size, self._pixels_at_once) or _LARGEST_BATCH)
