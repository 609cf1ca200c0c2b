"""Images made ready for the network: read, checked, letterboxed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo import native
from yolo.data.image_file import ImageFile
from yolo.data.images import stated_size
from yolo.data.letterbox import Letterbox, Size, fit, letterbox
from yolo.data.renderers.jpeg_library import jpeg_library
from yolo.inference.originals import ImageLike, Original, Originals


@dataclasses.dataclass(frozen=True, eq=False)
class Ready:
    """An image made ready for the network."""

    original: Original
    """A file where its pixels were not decoded at their full size."""
    image: NDArray[np.uint8]
    """uint8 ``[3, H, W]``, letterboxed."""
    box: Letterbox
    seconds: float
    """That letterboxing took; with the decoding where both are one."""
    path: Path | None = None

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """Those of the original, RGB uint8 ``[H, W, 3]``; a file's are decoded when they are first asked for."""
        return self.original.pixels if isinstance(self.original, ImageFile) else self.original


class InputMaker:
    """Letterboxes images in ``imgsz`` with as little padding as multiples of ``stride`` need.

    A JPEG file that becomes less than half as large is decoded by libjpeg at a half, a quarter or an eighth of its
    size: that takes a fraction of the time, and its pixels are means where a linear resizing leaves pixels out. One
    that is halved exactly is not: there a linear resizing gives means too. ``exact`` decodes all images whole.
    Several threads may use it.
    """

    def __init__(
        self, imgsz: Size, stride: int, require: Callable[[Size], None], *, exact: bool = False, channels: str = "rgb"
    ) -> None:
        """``require`` is called with each letterboxed size before there are pixels of it, and may raise; ``channels``
        are those of arrays that users give.
        """
        self.original = Originals(channels).of
        """An RGB array or a file of what a user gives; raises DataError and DownloadError."""
        self._imgsz, self._stride, self._require = imgsz, stride, require
        self._renderer = None if exact else native.Renderer(jpeg_library())

    def ready(self, image: ImageLike, *, whole: bool = False) -> Ready:
        """What a user gives made ready; raises what ``original`` and ``letterboxed`` raise."""
        return self.letterboxed(self.original(image), whole=whole)

    def letterboxed(self, original: Original, *, whole: bool = False) -> Ready:
        """An RGB array or a file made ready; ``whole``: its pixels are wanted too, so it is decoded at its full size.

        Raises DataError for a file that is no image, and what ``require`` raises.
        """
        if not isinstance(original, ImageFile):
            return self._whole(original, None)
        smaller = None if whole or self._renderer is None else self._smaller(original, self._renderer)
        return smaller or self._whole(original.pixels, original.path)

    def _whole(self, image: NDArray[np.uint8], path: Path | None) -> Ready:
        begin = time.perf_counter()
        box = self._fit(image.shape[:2])
        letterboxed = letterbox(image, box)
        return Ready(image, letterboxed, box, time.perf_counter() - begin, path)

    def _smaller(self, file: ImageFile, renderer: native.Renderer) -> Ready | None:
        """From a smaller decoding; None where there is none, or libjpeg leaves the file to others."""
        begin, size = time.perf_counter(), stated_size(file.header)
        if size is None or file.header.kind != "jpeg":
            return None
        box = self._fit(size)
        if any(side <= 2 * end for side, end in zip(size, box.resized)):
            return None
        planes = np.empty((3, *box.size), np.uint8)
        view = (box.size, box.size, None, None, [(file.content, box.resized, *box.offset)])
        if renderer.render([(planes, box.size, [view], 1.0, None, False, False, "placed")], 0):
            return None
        return Ready(file, planes, box, time.perf_counter() - begin, file.path)

    def _fit(self, size: Size) -> Letterbox:
        box = fit(size, self._imgsz, auto=True, stride=self._stride)
        self._require(box.size)
        return box
