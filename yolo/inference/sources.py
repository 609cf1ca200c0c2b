"""Frames to look at, from files of pictures and videos."""

from __future__ import annotations

import functools
import itertools
import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo.data.images import read_whole_image
from yolo.errors import DataError
from yolo.inference.source_files import suffix_of
from yolo.inference.video import SUFFIXES as VIDEOS
from yolo.inference.video import VideoReader

logger = logging.getLogger("yolo")


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture (RGB uint8 ``[H, W, 3]``) and where it is from."""

    picture: NDArray[np.uint8]
    path: Path
    """Of the file; of a stream a name that can be a file's."""
    position: int
    """Of the file among all files of the source, from 1; of the stream among all streams."""
    number: int | None = None
    """Of the frame in its video, from 1; None for a picture."""
    count: int | None = None
    """Frames of the video, as far as the file says."""
    fps: float = 0.0
    """Frames a second of a video, after leaving some out."""
    live: bool = False
    """Whether it is from a stream, whose frames come between those of others."""


Task = Callable[[], Frame | None]
"""Gives a frame when it is called; None where it cannot be had and others can."""


class Sources:
    """The frames of all files of a source; they can be gone through once.

    A file that cannot be read is reported and passed over while there are others.
    """

    live = False

    def __init__(
        self, files: tuple[Path, ...], vid_stride: int = 1, kept: tempfile.TemporaryDirectory | None = None
    ) -> None:
        """Reads the first frame, so that what cannot be used is refused here; ``kept`` is removed at the end."""
        self.files, self.count, self._kept = files, len(files), kept
        tasks = _tasks(files, vid_stride)
        first = next(filter(None, (task() for task in tasks)), None)
        if first is None:
            raise DataError(f"none of {len(files)} files can be read", where=files[0].parent)
        self._tasks: Iterator[Task] = itertools.chain([lambda: first], tasks)

    def tasks(self) -> Iterator[Task]:
        """What to call for each frame, in any thread; a video's frames are decoded by going through the tasks."""
        return self._tasks

    def __iter__(self) -> Iterator[Frame]:
        return filter(None, (task() for task in self._tasks))

    def close(self) -> None:
        """Remove what was fetched for this run."""
        if self._kept is not None:
            self._kept.cleanup()


def _tasks(files: tuple[Path, ...], vid_stride: int) -> Iterator[Task]:
    alone = len(files) == 1
    for position, path in enumerate(files, 1):
        if suffix_of(path) not in VIDEOS:
            yield functools.partial(_picture, path, position, alone)
            continue
        try:
            for frame in _video_frames(path, position, vid_stride):
                yield functools.partial(_given, frame)
        except DataError as error:
            if alone:
                raise
            logger.warning("left out: %s", error)


def _given(frame: Frame) -> Frame:
    return frame


def _picture(path: Path, position: int, alone: bool) -> Frame | None:
    try:
        return Frame(read_whole_image(path), path, position)
    except DataError as error:
        if alone:
            raise
        logger.warning("left out: %s", error)
        return None


def _video_frames(path: Path, position: int, stride: int) -> Iterator[Frame]:
    video = VideoReader(path, stride)
    for number, picture in video:
        yield Frame(picture, path, position, number, video.count, video.fps / stride)
    if video.is_cut_off:
        logger.warning("%s: ends after %d of %d frames", path, video.read, video.count)
