"""Decoded images kept in memory or on disk, resized as the loaders want them: the same pixels, sooner."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo.data.fingerprint import fingerprint
from yolo.data.images import limit_opencv_threads, load_image
from yolo.data.letterbox import Size, resized_size
from yolo.data.records import Index
from yolo.data.shared import SharedMemory
from yolo.errors import DataError
from yolo.io.files import write_atomic
from yolo.io.memory import free_memory

KINDS = ("ram", "disk")

_LOG = logging.getLogger("yolo.data")
_FORMAT = 3  # rises when what is kept changes
_RESERVE = 1.1  # times what the images take must be free: training wants some too


class ImageCache(Protocol):
    """Images of an index by position."""

    def get(self, i: int, size: Size, augmented: bool) -> NDArray[np.uint8] | None:
        """RGB uint8 ``[*size, 3]``, not to be written to; None where this size is not what is kept."""


class _Cache:
    """What the kinds share: which images in which size. ``augmented``: as in ``load_image``."""

    def __init__(self, index: Index, imgsz: int, augmented: bool) -> None:
        self.paths, self.augmented = index.paths, augmented
        self.sizes = [resized_size((int(height), int(width)), imgsz) for height, width in index.shapes]
        self.bytes = sum(map(self._bytes, range(len(self.sizes))))
        """Of all images."""

    def get(self, i: int, size: Size, augmented: bool) -> NDArray[np.uint8] | None:
        if size != self.sizes[i] or augmented != self.augmented:
            return None
        kept = self._kept(i)
        if kept is not None:
            return kept
        image = load_image(self.paths[i], size, augmented=augmented)
        self._keep(i, image)
        return image

    def fill(self, workers: int) -> None:
        """Make what is missing. Processes that fill the same cache begin at different places."""
        limit_opencv_threads()
        count = len(self.sizes)
        begin = os.getpid() * 7919 % count
        pool = ThreadPoolExecutor(max(workers, 1), thread_name_prefix="cache")
        try:
            for _ in pool.map(self._make, [(begin + k) % count for k in range(count)]):
                pass
        finally:  # also when interrupted: what has not begun is not begun
            pool.shutdown(cancel_futures=True)

    def missing(self) -> int:
        """Bytes of the images that are not kept yet."""
        return sum(self._bytes(i) for i in range(len(self.sizes)) if not self._has(i))

    def _make(self, i: int) -> None:
        if not self._has(i):
            self._keep(i, load_image(self.paths[i], self.sizes[i], augmented=self.augmented))

    def _bytes(self, i: int) -> int:
        return 3 * self.sizes[i][0] * self.sizes[i][1]


class RamCache(_Cache):
    """In memory that all processes of the machine share which train on the same images: one copy of them.

    A byte an image says that it is there. Two processes may make one image at once: both write the same bytes.
    """

    def __init__(self, index: Index, imgsz: int, augmented: bool) -> None:
        super().__init__(index, imgsz, augmented)
        content = fingerprint(f"{_FORMAT} {cv2.__version__} {imgsz} {augmented}", list(index.paths.texts()))
        starts = len(self.sizes) + np.cumsum([0, *map(self._bytes, range(len(self.sizes)))])
        self.memory = SharedMemory(content[:32], int(starts[-1]))
        self._starts = starts.tolist()
        self._there = self.memory.content[: len(self.sizes)]

    def _has(self, i: int) -> bool:
        return bool(self._there[i])

    def _kept(self, i: int) -> NDArray[np.uint8] | None:
        return self._place(i) if self._there[i] else None

    def _keep(self, i: int, image: NDArray[np.uint8]) -> None:
        self._place(i)[:] = image
        self._there[i] = 1

    def _place(self, i: int) -> NDArray[np.uint8]:
        return self.memory.content[self._starts[i] : self._starts[i + 1]].reshape(*self.sizes[i], 3)


class DiskCache(_Cache):
    """As ``.npy`` files in a folder beside the images' own, ``<folder>.oneflow-<imgsz>``.

    A file's name says which image it is, and of which size and time of change: of an image that changed another
    file is made and the old one removed. All of it may be deleted at any time.
    """

    def __init__(self, index: Index, imgsz: int, augmented: bool) -> None:
        super().__init__(index, imgsz, augmented)
        kind = f"oneflow-{imgsz}" if augmented else f"oneflow-{imgsz}-val"
        self.folders = sorted({_beside(path, kind) for path in self.paths})
        there = {folder: _names(folder) for folder in self.folders}
        self._files: list[Path] = []
        for path in self.paths:
            name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:24]
            file = _beside(path, kind) / f"{name}-{_state(path)}.npy"
            for old in there[file.parent].get(name, ()):
                if old != file.name:
                    (file.parent / old).unlink(missing_ok=True)
            self._files.append(file)

    def _has(self, i: int) -> bool:
        try:
            return self._files[i].stat().st_size > self._bytes(i)
        except OSError:
            return False

    def _kept(self, i: int) -> NDArray[np.uint8] | None:
        try:
            image = np.load(self._files[i], allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        fits = image.shape == (*self.sizes[i], 3) and image.dtype == np.uint8 and image.flags.c_contiguous
        return image if fits else None

    def _keep(self, i: int, image: NDArray[np.uint8]) -> None:
        def write(temporary: Path) -> None:
            with open(temporary, "wb") as stream:
                np.save(stream, image)

        # After a power cut some may be lost, which is noticed and costs no more than making them again.
        write_atomic(self._files[i], write, durable=False)


def open_caches(kind: str, parts: Mapping[str, tuple[Index, bool]], imgsz: int, workers: int) -> dict[str, ImageCache]:
    """Filled caches of ``kind`` ("ram" or "disk"; "" gives none) by the names of ``parts``: an index, and whether its
    images are loaded for augmentation.

    Says in one line what they took. Raises DataError when memory or disk does not suffice, before anything is made.
    """
    if not kind:
        return {}
    begin = time.perf_counter()
    make = RamCache if kind == "ram" else DiskCache
    caches = {name: make(index, imgsz, augmented) for name, (index, augmented) in parts.items()}
    missing = {name: cache.missing() for name, cache in caches.items()}
    _refuse_unfit(kind, list(caches.values()), sum(missing.values()))
    try:
        for cache in caches.values():
            cache.fill(workers)
    except OSError as error:
        raise DataError(
            f"the images cannot be kept ({error.strerror or error})", where=error.filename, hint="try --cache ram"
        ) from error
    count, total = (sum(values) for values in zip(*((len(cache.sizes), cache.bytes) for cache in caches.values())))
    where = "in memory, one copy for this machine" if kind == "ram" else f"in {caches[next(iter(caches))].folders[0]}"
    _LOG.info(
        "cached %d images %s: %s, of which %s were there already, in %.1f s",
        *(count, where, _size(total), _size(total - sum(missing.values())), time.perf_counter() - begin),
    )
    return dict(caches)


def _refuse_unfit(kind: str, caches: list[_Cache], missing: int) -> None:
    if kind == "ram":
        free, what = free_memory(), "of memory are free"
    else:
        folder = next(folder for folder in caches[0].folders[0].parents if folder.is_dir())
        free, what = shutil.disk_usage(folder).free, f"are free on the disk of {folder}"
    if missing * _RESERVE > free:
        raise DataError(
            f"the images take {_size(missing)}, and {_size(free)} {what}",
            where=f"--cache {kind}",
            hint="leave it out, " + ("use --cache disk, " if kind == "ram" else "") + "or lower --imgsz",
        )


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GB" if count >= 2**28 else f"{count / 2**20:.1f} MB"


def _beside(path: Path, kind: str) -> Path:
    return path.parent.with_name(f"{path.parent.name}.{kind}")


def _names(folder: Path) -> dict[str, list[str]]:
    """The files of a cache by the image that they are of."""
    found: dict[str, list[str]] = {}
    if folder.is_dir():
        for entry in os.scandir(folder):
            found.setdefault(entry.name.partition("-")[0], []).append(entry.name)
    return found


def _state(path: Path) -> str:
    """What changes when the image does."""
    try:
        status = path.stat()
        state = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:  # it is gone since it was indexed: who reads it names it
        state = ""
    text = f"{_FORMAT} {cv2.__version__} {state}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]
