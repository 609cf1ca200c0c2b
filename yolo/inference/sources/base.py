"""Frames to look at, from files of images and videos."""

from __future__ import annotations

import functools
import itertools
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolo.data.image_file import ImageFile
from yolo.errors import DataError
from yolo.inference.sources.files import suffix_of
from yolo.inference.sources.video import SUFFIXES as VIDEOS
from yolo.inference.sources.video import VideoReader

logger = logging.getLogger("yolo")


@dataclass(frozen=True, eq=False)
class Frame:
    """An image and where it is from."""

    original: NDArray[np.uint8] | ImageFile = field(repr=False)
    path: Path
    """Of the file; of a stream a name that can be a file's."""
    position: int
    """Of the file among all files of the source, from 1; of the stream among all streams."""
    number: int | None = None
    """Of the frame in its video, from 1; None for an image."""
    count: int | None = None
    """Frames of the video, as far as that is known before it ends."""
    fps: float = 0.0
    """Frames a second of a video, after leaving some out; on average where their times are uneven."""
    live: bool = False
    """Whether it is from a stream, whose frames come between those of others."""
    place: int = 1
    """Of an image among the source's images of its folder, or of all that a program gives, from 1: what cannot be read
    counts."""
    refused: Callable[[DataError], None] | None = field(default=None, repr=False)
    """What is done about an image that turns out to be none: reports it, or raises."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """RGB uint8 ``[H, W, 3]``; a file's is decoded when it is first asked for, which may raise DataError."""
        return self.original.pixels if isinstance(self.original, ImageFile) else self.original

    @property
    def sequence(self) -> Path:
        """What it is a frame of: its video or stream; of an image the folder, which may hold a film's frames."""
        return self.path.parent if self.number is None else self.path

    @property
    def number_there(self) -> int:
        """Of the frame in its ``sequence``, from 1."""
        return self.place if self.number is None else self.number

    def refuse(self, error: DataError) -> None:
        """It cannot be looked at; raises ``error`` where nobody takes it."""
        if self.refused is None:
            raise error
        self.refused(error)


@dataclass(frozen=True)
class LeftOut:
    """What was not looked at: a file; of a video some frames, or its end."""

    path: Path
    reason: str
    frames: int | None = None
    """How many, where that is known."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``path``, ``reason`` and, where known, ``frames``."""
        return {"path": str(self.path), "reason": self.reason} | (
            {} if self.frames is None else {"frames": self.frames}
        )


Task = Callable[[], Frame | None]
"""Gives a frame when it is called; None where it cannot be had and others can. That of a file is not read by then."""


class Sources:
    """The frames of all files of a source; they can be gone through once.

    A file that cannot be read is reported and passed over while there are others; so is a frame of a video.
    """

    live = False

    def __init__(
        self, files: tuple[Path, ...], vid_stride: int = 1, kept: tempfile.TemporaryDirectory | None = None
    ) -> None:
        """Looks at the first frame, so that what cannot be used is refused here; ``kept`` is removed at the end."""
        self.files, self.count, self._kept, self._vid_stride = files, len(files), kept, vid_stride
        self._passed = 0
        self.left_out: list[LeftOut] = []
        """What was reported so far."""
        tasks = self._all_tasks()
        first = next(_readable((task() for task in tasks), _look_into))
        self._tasks: Iterator[Task] = itertools.chain([lambda: first], tasks)

    def tasks(self) -> Iterator[Task]:
        """What to call for each frame, in any thread; a video's frames are decoded by going through the tasks."""
        return self._tasks

    def __iter__(self) -> Iterator[Frame]:
        return _readable((task() for task in self._tasks), lambda frame: frame.image)

    def close(self) -> None:
        """Remove what was fetched for this run."""
        if self._kept is not None:
            self._kept.cleanup()

    def _all_tasks(self) -> Iterator[Task]:
        images: Counter[Path] = Counter()
        for position, path in enumerate(self.files, 1):
            if suffix_of(path) not in VIDEOS:
                images[path.parent] += 1
                refused, place = functools.partial(self._pass_over, path), images[path.parent]
                yield functools.partial(_given, Frame(ImageFile(path), path, position, refused=refused, place=place))
                continue
            try:
                for frame in self._video_frames(path, position):
                    yield functools.partial(_given, frame)
            except DataError as error:
                self._pass_over(path, error)

    def _pass_over(self, path: Path, error: DataError) -> None:
        """Report a file that cannot be read; raises ``error`` when there is no other, DataError when it is the last."""
        if self.count == 1:
            raise error
        self.left_out.append(LeftOut(path, error.what))
        logger.warning("left out: %s", error)
        self._passed += 1
        if self._passed == self.count:
            raise DataError(f"none of {self.count} files can be read", where=self.files[0].parent)

    def _video_frames(self, path: Path, position: int) -> Iterator[Frame]:
        video = VideoReader(path, self._vid_stride)
        for number, image in video:
            yield Frame(image, path, position, number, video.count, video.fps / self._vid_stride)
        reasons = []
        if video.missed:
            frames = f"{video.missed} of {video.read + video.missed} frames"
            reasons.append(LeftOut(path, f"{frames} cannot be decoded", video.missed))
        line = video.timeline
        if line.is_cut_off:
            reasons.append(LeftOut(path, f"cut off: its frames end at {line.end:.2f} s of {line.length:.2f} s"))
        for left_out in reasons:
            self.left_out.append(left_out)
            logger.warning("left out: %s: %s", path, left_out.reason)


def _given(frame: Frame) -> Frame:
    return frame


def _readable(frames: Iterable[Frame], look: Callable[[Frame], object]) -> Iterator[Frame]:
    """The frames that can be looked at; the others are refused."""
    for frame in frames:
        try:
            look(frame)
        except DataError as error:
            frame.refuse(error)
        else:
            yield frame


def _look_into(frame: Frame) -> None:
    """As far as its image's head: of most formats that tells whether the file is whole."""
    if isinstance(frame.original, ImageFile):
        _ = frame.original.size
