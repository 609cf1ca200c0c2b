"""From what ``--source`` says to its frames."""

from __future__ import annotations

import numbers
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from yolo.data.images import SUFFIXES as IMAGES
from yolo.errors import DataError
from yolo.inference.sources.base import Sources
from yolo.inference.sources.capture import shown_name
from yolo.inference.sources.files import files_of, find_files, read_lines, suffix_of
from yolo.inference.sources.screen import ScreenSources, is_screen
from yolo.inference.sources.streams import LiveSources
from yolo.inference.sources.video import SUFFIXES as VIDEOS
from yolo.io.download import download, is_url

STREAM_LIST = ".streams"
"""The ending of a list of cameras and streams, one a line."""


Source = str | Path | int | Sequence[str | Path | int]
"""What names frames; see ``open_sources``."""


def open_sources(source: Source, vid_stride: int = 1) -> Sources | LiveSources | ScreenSources:
    """The frames of ``source``.

    An image, a video, a folder of them (not its subfolders), a glob pattern, the URL of a file, a .txt list of files,
    folders and patterns; a camera's number, the URL of a stream, a .streams list of both; ``screen``. A list or tuple
    names files, folders and patterns, or cameras and streams. Of videos and streams every ``vid_stride``-th frame is
    taken. The first frame is read, or all streams connected to, at once, so
    that what cannot be used is refused here: raises DataError (missing, of no known kind, nothing in it can be read),
    DownloadError or ConfigError.
    """
    if isinstance(source, (list, tuple)):
        return _several([_text(one) for one in source], vid_stride)
    text = _text(source)
    if suffix_of(text) == STREAM_LIST and os.path.isfile(text):
        return LiveSources(_streams(text), vid_stride)
    if not os.path.exists(text):
        if is_screen(text):
            return ScreenSources(text)
        if is_stream(text):
            if _is_remote_file(text):
                return _fetched(text, vid_stride)
            return LiveSources([text], vid_stride)
    return Sources(find_files(text), vid_stride)


def is_stream(text: str) -> bool:
    """Whether it names a camera or is a URL."""
    return text.isdecimal() or "://" in text


def _text(source: object) -> str:
    """A source as ``--source`` has it; raises DataError for anything else."""
    if isinstance(source, numbers.Integral) and not isinstance(source, bool):
        return str(source)
    if not isinstance(source, (str, os.PathLike)):
        hint = "give a path, folder, glob, URL or camera's number, or a list of them"
        raise DataError(f"a {type(source).__name__} names no source", where="source", hint=hint)
    return str(os.fspath(source))


def _several(texts: list[str], vid_stride: int) -> Sources | LiveSources:
    if not texts:
        raise DataError("nothing to work on", where="source", hint="name an image, video, folder, glob or stream")
    live = [text for text in texts if is_stream(text) and not os.path.exists(text)]
    if remote := [text for text in live if _is_remote_file(text)]:
        raise DataError(
            "a remote file cannot be mixed with other sources", where=shown_name(remote[0]), hint="give it alone"
        )
    if live and len(live) == len(texts):
        return LiveSources(texts, vid_stride)
    if live:
        raise DataError(
            "a stream cannot be mixed with files", where=shown_name(live[0]), hint="give files and streams apart"
        )
    return Sources(files_of(find_files(text) for text in texts), vid_stride)


def _streams(path: str) -> list[str]:
    lines = read_lines(path)
    for number, line in lines:
        if not is_stream(line):
            what = f"{line} is neither a camera's number nor a URL"
            raise DataError(what, where=f"{path}:{number}", hint="files are listed in a .txt")
    if not lines:
        raise DataError("the list is empty", where=path, hint="name a camera's number or a URL a line")
    return [line for _, line in lines]


def _is_remote_file(url: str) -> bool:
    """A file is not a stream: of a stream frames are left out, and it is connected to again when it ends."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise DataError(f"is not a URL ({error})", where=url) from error
    return is_url(url) and suffix_of(parts.path) in IMAGES | VIDEOS


def _fetched(url: str, vid_stride: int) -> Sources:
    """The frames of a file elsewhere; it is fetched for this run only."""
    folder = tempfile.TemporaryDirectory(prefix="yolo-source-")
    try:
        file = download(url, Path(folder.name) / PurePosixPath(unquote(urlsplit(url).path)).name)
        return Sources((file,), vid_stride, kept=folder)
    except BaseException:
        folder.cleanup()
        raise
