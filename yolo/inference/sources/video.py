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
from yolo.inference.sources.timeline import Timeline

SUFFIXES = frozenset({".asf", ".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".wmv"})
"""File name endings (lower case) that count as videos."""

LEAST_SIDE = 2
"""Pixels of a video that can be written."""

# A frame that cannot be decoded looks as the end does. The end is where so many in a row give nothing, and more than
# are left.
_PATIENCE = 64


class VideoReader:
    """The frames of a video file, upright by its orientation, every ``stride``-th beginning with the first.

    Iterating gives (number, image): numbers count all frames from 1, images are RGB uint8 ``[H, W, 3]``. A frame
    that cannot be decoded keeps its number and is left out; ``missed`` counts those.
    Raises DataError when the file cannot be opened or holds no frame.
    """

    def __init__(self, path: str | Path, stride: int = 1) -> None:
        self.path, self._stride = Path(path), stride
        # An absolute path is never taken for a URL, nor FFmpeg's for a pattern of numbered images.
        absolute = os.path.abspath(path)
        with quiet():
            try:
                self._capture = cv2.VideoCapture(absolute, cv2.CAP_FFMPEG)
            except (cv2.error, UnicodeError) as error:
                raise DataError("the video cannot be opened", where=path) from error
            if not self._capture.isOpened():
                raise DataError("the video cannot be opened", where=path, hint="replace or convert the file")
            self.timeline = Timeline.of(absolute, self._capture)
            """What the file says of its frames' times."""
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self.count, self.fps = self.timeline.count, self.timeline.fps
        """How many frames there are, None when that cannot be known; how many a second."""
        self.read = 0
        """Frames decoded so far."""
        self.missed = 0
        """Frames so far that could not be decoded; those at the very end are known behind it."""
        self._shown, self._gap = -math.inf, math.inf

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        in_vain = 0
        try:
            while in_vain <= max(_PATIENCE, self._unseen):
                if not self._capture.grab():
                    in_vain += 1
                    continue
                self.missed, in_vain = self.missed + in_vain, 0
                number = self.read + self.missed + 1
                bgr = None
                if (number - 1) % self._stride == 0:
                    there, bgr = self._capture.retrieve()
                    if not there:
                        self.missed += 1
                        continue
                self._note_time()
                if bgr is not None:
                    yield number, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        finally:
            self._capture.release()
        if not self.read:
            raise DataError("the video has no frame that can be decoded", where=self.path)
        self.missed += self._missed_at_the_end()

    @property
    def _unseen(self) -> int:
        return len(self.timeline.times) - self.read - self.missed

    def _note_time(self) -> None:
        now = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if now > self._shown:
            self._gap, self._shown = min(self._gap, now - self._shown), now
        self.read += 1

    def _missed_at_the_end(self) -> int:
        """Packets behind the last decoded frame; one less than a frame later is that frame's second half."""
        gap = self._gap if math.isfinite(self._gap) else 1 / self.fps
        return max(min(self.timeline.later_than(self._shown + 0.75 * gap), self._unseen), 0)


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

    def add(self, image: NDArray[np.uint8]) -> None:
        """Append a frame, RGB uint8 ``[H, W, 3]``; one of another size is scaled to the video's."""
        if image.shape[:2] != self._size:
            image = cv2.resize(image, self._size[::-1])
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self._frames += 1

    def finish(self) -> Path:
        """Close the file and put it in place.

        Raises DataError when it did not get whole onto the disk, OSError when a folder has its name.
        """
        with quiet():
            self._writer.release()
            # The encoder keeps quiet about a full disk; what it left is then shorter or cannot be opened.
            check = cv2.VideoCapture(os.path.abspath(self._temporary), cv2.CAP_FFMPEG)
            written = check.get(cv2.CAP_PROP_FRAME_COUNT) if check.isOpened() else 0
            check.release()
        if written < self._frames:
            self._temporary.unlink(missing_ok=True)
            raise DataError(
                "the video could not be written whole", where=self.path, hint="see whether the disk is full"
            )
        try:
            self._temporary.chmod(0o644)
            os.replace(self._temporary, self.path)
        except OSError:
            self._temporary.unlink(missing_ok=True)
            raise
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
