"""Videos in and out, RGB in memory."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo.errors import DataError

SUFFIXES = frozenset({".asf", ".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".wmv"})
"""File name endings (lower case) that count as videos."""

LEAST_SIDE = 2
"""Pixels of a video that can be written."""

USUAL_FPS = 30.0
"""Of videos and streams that do not say."""
# A container's own count is an estimate; a video that ends this much earlier was cut off.
_CUT_OFF = 0.9


class VideoReader:
    """The frames of a video file, upright by its orientation, every ``stride``-th beginning with the first.

    Iterating gives (number, picture): numbers count all frames from 1, pictures are RGB uint8 ``[H, W, 3]``.
    Raises DataError when the file cannot be opened or holds no frame.
    """

    def __init__(self, path: str | Path, stride: int = 1) -> None:
        self.path, self._stride = Path(path), stride
        with quiet():
            try:
                # An absolute path is never taken for a URL, nor FFmpeg's for a pattern of numbered pictures.
                self._capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
            except (cv2.error, UnicodeError) as error:
                raise DataError("the video cannot be opened", where=path) from error
        if not self._capture.isOpened():
            raise DataError("the video cannot be opened", where=path, mend="replace or convert the file")
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        announced = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(announced) if 0 < announced < 2**31 else None
        """How many frames the file says it has; None when it does not say."""
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and 0 < fps <= 1000 else USUAL_FPS
        self.read = 0
        """Frames gone through so far."""

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        try:
            while self._capture.grab():
                self.read += 1
                if (self.read - 1) % self._stride:
                    continue
                there, bgr = self._capture.retrieve()
                if not there:
                    break
                yield self.read, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        finally:
            self._capture.release()
        if not self.read:
            raise DataError("the video has no frame that can be decoded", where=self.path)

    @property
    def is_cut_off(self) -> bool:
        """Whether clearly fewer frames came out than the file announced; to be asked at the end."""
        return self.count is not None and self.read < _CUT_OFF * self.count


class VideoWriter:
    """An mp4 that appears at ``path`` when it is whole: ``add`` frames, then ``finish`` or ``abort``.

    ``size`` is (height, width) in pixels; odd sizes lose their last row or column to the codec.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        self.path, self._size, self._frames = path, size, 0
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".video.", suffix=".mp4")
        os.close(handle)
        self._temporary = Path(name)
        with quiet():
            codec = cv2.VideoWriter_fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(os.path.abspath(name), cv2.CAP_FFMPEG, codec, fps, size[::-1])
        if not self._writer.isOpened():
            self.abort()
            raise DataError(f"no video of {size[1]} x {size[0]} pixels can be written", where=path)

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Append a frame, RGB uint8 ``[H, W, 3]``; one of another size is scaled to the video's."""
        if picture.shape[:2] != self._size:
            picture = cv2.resize(picture, self._size[::-1])
        self._writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        self._frames += 1

    def finish(self) -> Path:
        """Close the file and put it in place. Raises DataError when it did not get whole onto the disk."""
        with quiet():
            self._writer.release()
            # The encoder keeps quiet about a full disk; what it left is then shorter or cannot be opened.
            check = cv2.VideoCapture(os.path.abspath(self._temporary), cv2.CAP_FFMPEG)
            written = check.get(cv2.CAP_PROP_FRAME_COUNT) if check.isOpened() else 0
            check.release()
        if written < self._frames:
            self._temporary.unlink(missing_ok=True)
            raise DataError(
                "the video could not be written whole", where=self.path, mend="see whether the disk is full"
            )
        self._temporary.chmod(0o644)
        os.replace(self._temporary, self.path)
        return self.path

    def abort(self) -> None:
        """Close the file and remove it."""
        self._writer.release()
        self._temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep OpenCV and its FFmpeg from writing to stderr: an error is raised, not printed twice."""
    # Read by OpenCV once, before its first video.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    level = cv2.setLogLevel(0)
    try:
        yield
    finally:
        cv2.setLogLevel(level)
