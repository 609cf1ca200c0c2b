"""Where pictures to look at come from: files, folders, glob patterns, videos."""

from __future__ import annotations

import glob
import itertools
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from yolo.data.images import SUFFIXES as PICTURES
from yolo.data.images import read_image
from yolo.errors import DataError
from yolo.inference.video import SUFFIXES as VIDEOS
from yolo.inference.video import VideoReader

logger = logging.getLogger("yolo")

_JPEG_END = b"\xff\xd9"


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture (RGB uint8 ``[H, W, 3]``) and where it is from."""

    picture: NDArray[np.uint8]
    path: Path
    position: int
    """Of the file among all files of the source, from 1."""
    number: int | None = None
    """Of the frame in its video, from 1; None for a picture."""
    count: int | None = None
    """Frames of the video, as far as the file says."""
    fps: float = 0.0
    """Frames a second of a video, after leaving some out."""


class Sources:
    """The frames of all files of a source; they can be gone through once.

    A file that cannot be read is reported and passed over while there are others.
    """

    def __init__(self, files: tuple[Path, ...], vid_stride: int = 1) -> None:
        self.files = files
        frames = _frames(files, vid_stride)
        first = next(frames, None)
        if first is None:
            raise DataError(f"none of {len(files)} files can be read", where=files[0].parent)
        self._frames = itertools.chain((first,), frames)

    def __iter__(self) -> Iterator[Frame]:
        return self._frames


def open_sources(source: str | Path, vid_stride: int = 1) -> Sources:
    """The frames of ``source``: a picture, a video, a folder of them (not its subfolders) or a glob pattern.

    Of a video every ``vid_stride``-th frame is taken. The first frame is read at once, so that what cannot be
    used is refused here. Raises DataError when ``source`` is missing, of no known kind, or nothing in it can be
    read.
    """
    return Sources(find_files(source), vid_stride)


def find_files(source: str | Path) -> tuple[Path, ...]:
    """The picture files, then the video files that ``source`` means; raises DataError when there is none."""
    text = os.fspath(source)
    if os.path.isdir(text):
        return _usable(_children(text), text, "no picture and no video in the folder")
    if os.path.isfile(text):
        return _usable([text], text, "neither a picture nor a video")
    if os.path.exists(text):
        raise DataError("is no ordinary file", where=text)
    if glob.has_magic(text) and "\0" not in text:
        found = [path for path in glob.iglob(text, recursive=True) if os.path.isfile(path)]
        return _usable(found, text, "no picture and no video matches")
    if text.isdecimal() or "://" in text:
        raise DataError("cameras and streams are not supported", where=text, mend="give a file, a folder or a glob")
    raise DataError("does not exist", where=text, mend="give a picture, a video, a folder or a glob")


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """The picture at ``path`` as ``read_image`` gives it; a file that was cut off raises DataError too."""
    _refuse_cut_off(path)
    return read_image(path)


def _children(folder: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise DataError(f"the folder cannot be read ({error.strerror})", where=folder) from error
    # Files such as ._x.jpg are what some systems leave beside x.jpg.
    paths = (os.path.join(folder, name) for name in names if not name.startswith("."))
    return [path for path in paths if os.path.isfile(path)]


def _usable(paths: list[str], source: str, otherwise: str) -> tuple[Path, ...]:
    """Pictures first, then videos, each kind sorted."""
    kinds = [sorted({path for path in paths if _suffix(path) in kind}) for kind in (PICTURES, VIDEOS)]
    if not any(kinds):
        known = " ".join(sorted(PICTURES | VIDEOS))
        raise DataError(otherwise, where=source, mend=f"it takes {known}")
    return tuple(Path(path) for kind in kinds for path in kind)


def _suffix(path: str | Path) -> str:
    return os.path.splitext(path)[1].lower()


def _frames(files: tuple[Path, ...], vid_stride: int) -> Iterator[Frame]:
    for position, path in enumerate(files, 1):
        try:
            if _suffix(path) in VIDEOS:
                yield from _video_frames(path, position, vid_stride)
            else:
                yield Frame(read_picture(path), path, position)
        except DataError as error:
            if len(files) == 1:
                raise
            logger.warning("left out: %s", error)


def _video_frames(path: Path, position: int, stride: int) -> Iterator[Frame]:
    video = VideoReader(path, stride)
    for number, picture in video:
        yield Frame(picture, path, position, number, video.count, video.fps / stride)
    if video.is_cut_off:
        logger.warning("%s: ends after %d of %d frames", path, video.read, video.count)


def _refuse_cut_off(path: str | Path) -> None:
    """Raise DataError for a JPEG or PNG that lacks its end; whatever else is wrong is left to the decoder.

    OpenCV fills a JPEG's missing part with grey and its codecs write to stderr; Pillow tells, and quietly.
    """
    try:
        with warnings.catch_warnings(), open(path, "rb") as stream:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(stream, formats=("JPEG", "PNG")) as picture:
                if picture.format == "PNG":
                    picture.verify()
                elif not _has_jpeg_end(stream):
                    picture.load()
    except (Image.UnidentifiedImageError, Image.DecompressionBombError):
        return
    except OSError as error:
        if error.errno is not None:  # the system's errors have a number, Pillow's "broken file" has none
            raise DataError(f"the picture cannot be read ({error.strerror})", where=path) from error
        raise _corrupt(path, error) from error
    # Pillow's readers raise whatever a hostile file makes them stumble over.
    except Exception as error:
        raise _corrupt(path, error) from error


def _corrupt(path: str | Path, error: Exception) -> DataError:
    return DataError(f"corrupt picture ({error})", where=path, mend="replace or remove the file")


def _has_jpeg_end(stream) -> bool:
    place = stream.tell()
    stream.seek(-len(_JPEG_END), os.SEEK_END)
    found = stream.read() == _JPEG_END
    stream.seek(place)
    return found
