"""The DALI renderer: samples made by NVIDIA DALI, on a GPU where there is one."""

from __future__ import annotations

import importlib
import io
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from yolo.data.image_cache import ImageCache
from yolo.data.image_header import read_header
from yolo.data.images import MAX_PIXELS, limit_opencv_threads, load_image, read_bytes
from yolo.data.letterbox import Size
from yolo.data.plan import SamplePlan, Tile
from yolo.data.renderers.dali_inputs import Encoded, Slots, Source
from yolo.data.renderers.dali_thread import PipelineThread
from yolo.data.renderers.window import is_affine
from yolo.errors import ConfigError, DataError
from yolo.io.files import require_file

_LOG = logging.getLogger("yolo.data")
_SLOTS = 65  # 16 mosaics and the grey: 0.7 GB at 640, most of it while colours are changed
_JPEG_END = b"\xff\xd9"
_BITS, _CHANNELS = 8, (1, 3)
_UNKNOWN = -1


def library() -> ModuleType:
    """``yolo.data.renderers.dali_pipeline``. Raises ConfigError where DALI is not installed."""
    try:
        return importlib.import_module("yolo.data.renderers.dali_pipeline")
    except ImportError as error:
        raise ConfigError(
            f"NVIDIA DALI cannot be imported ({error})",
            where="--loader dali",
            hint="pip install nvidia-dali-cuda120==2.4.0, or --loader native",
        ) from error


class DaliRenderer:
    """Makes samples of JPEG files, or of any images in ``cache``: mosaics, mixup, affine maps, letterboxes.

    DALI decodes, of each image only what is seen, on ``threads`` of its own (one at least). Not supported are other
    formats, kinds of JPEG that it reads otherwise than OpenCV (turned by EXIF, CMYK), and images that shrink and are
    not augmented, which is by area. A file of which it turns out that DALI cannot decode it is decoded by OpenCV, and
    not supported from then on.
    """

    def __init__(self, paths: Sequence[Path], threads: int, cache: ImageCache | None = None) -> None:
        """Raises ConfigError where DALI is not installed."""
        limit_opencv_threads()
        self._dali = library()
        self._device = self._dali.default_device()
        self._paths, self._cache = paths, cache
        self._sizes = np.full((len(paths), 2), _UNKNOWN, np.int32)
        """Of the images; 0 where one is not supported."""
        self._thread = PipelineThread(lambda: self._dali.DaliPipeline(_SLOTS, threads, self._device), self._dali.DEPTH)

    def supports(self, plan: SamplePlan) -> bool:
        if plan.extras or plan.has_odd_colours or not all(map(is_affine, plan.views)):
            return False
        tiles = (tile for view in plan.views for tile in view.tiles)
        return self._cache is not None or all(_is_read(tile, self._size(tile.image), plan.augmented) for tile in tiles)

    def render(self, plans: Sequence[SamplePlan], out: Sequence[NDArray[np.uint8]]) -> None:
        begun: deque[tuple] = deque()
        for part in _parts(plans):
            slots = self._slots(plans[part], out[part])
            begun.append((plans[part], out[part], slots, self._thread.submit(slots)))
            if len(begun) == self._dali.DEPTH:
                self._finish(*begun.popleft())
        while begun:
            self._finish(*begun.popleft())

    def close(self) -> None:
        self._thread.close()

    def _finish(
        self, plans: Sequence[SamplePlan], out: Sequence[NDArray[np.uint8]], slots: Slots, samples: Future
    ) -> None:
        try:
            made = samples.result()
        except CancelledError:
            raise
        except Exception as error:  # DALI has no type of its own
            made = self._again(plans, out, slots, error)
        made.write(out)

    def _again(
        self, plans: Sequence[SamplePlan], out: Sequence[NDArray[np.uint8]], slots: Slots, error: Exception
    ) -> Any:
        """Once more, without DALI's decoder for the files that it refuses one by one."""
        images, files = zip(*slots.files()) if slots.files() else ((), ())
        for number in self._dali.undecodable(files, self._device):
            _LOG.debug("%s: DALI cannot decode it, OpenCV does", self._paths[images[number]])
            self._sizes[images[number]] = 0
        samples = self._thread.submit(self._slots(plans, out))
        try:
            return samples.result()
        except CancelledError:
            raise
        except Exception as again:
            raise DataError(f"DALI cannot make the sample ({again})", where=self._paths[plans[0].index]) from error

    def _slots(self, plans: Sequence[SamplePlan], out: Sequence[NDArray[np.uint8]]) -> Slots:
        return Slots(plans, [planes.shape[1:] for planes in out], self._load)

    def _load(self, tile: Tile, augmented: bool) -> Source:
        path = self._paths[tile.image]
        kept = None if self._cache is None else self._cache.get(tile.image, tile.resized, augmented)
        if kept is not None:
            return kept
        if _is_read(tile, self._size(tile.image), augmented):
            content = read_bytes(path)
            size = _plain_jpeg(io.BytesIO(memoryview(content)))  # the file may be another one by now
            if _is_read(tile, size, augmented):
                return Encoded(content, size)
        return load_image(path, tile.resized, augmented=augmented)

    def _size(self, image: int) -> Size | None:
        """Of an image that DALI reads as OpenCV does, by the head and the end of its file."""
        if self._sizes[image, 0] == _UNKNOWN:
            try:
                require_file(self._paths[image])
                with open(self._paths[image], "rb") as stream:
                    size = _plain_jpeg(stream)
            except (OSError, ValueError):  # the renderer that gets it says why
                size = None
            self._sizes[image] = size or 0
        height, width = self._sizes[image].tolist()
        return (height, width) if height else None


def _plain_jpeg(stream: BinaryIO) -> Size | None:
    """``(height, width)`` of an upright JPEG of 8 bits, grey or of three channels, with its marker at the end."""
    header = read_header(stream)
    stream.seek(-len(_JPEG_END), 2)
    plain = (
        header.kind == "jpeg"
        and header.orientation == 1
        and header.bits == _BITS
        and header.channels in _CHANNELS
        and 0 < header.height * header.width <= MAX_PIXELS
        and stream.read() == _JPEG_END
    )
    return header.upright if plain else None


def _is_read(tile: Tile, size: Size | None, augmented: bool) -> bool:
    """Whether DALI resizes an image of ``size`` as ``load_image``, which shrinks by area where nothing is augmented."""
    if size is None:
        return False
    return augmented or (tile.resized[0] >= size[0] and tile.resized[1] >= size[1])


def _parts(plans: Sequence[SamplePlan]) -> Iterator[slice]:
    """Of ``plans`` as many in a row as fit into a batch of the pipeline."""
    start, taken = 0, 0
    for number, plan in enumerate(plans):
        needed = sum(max(len(view.tiles), 1) for view in plan.views)
        if number > start and taken + needed >= _SLOTS:
            yield slice(start, number)
            start, taken = number, 0
        taken += needed
    if start < len(plans):
        yield slice(start, len(plans))
