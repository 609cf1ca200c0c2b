"""From what ``--source`` says to its frames."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from yolo.data.images import SUFFIXES as PICTURES
from yolo.download import download, is_url
from yolo.errors import DataError
from yolo.inference.live import LiveSources
from yolo.inference.screen import ScreenSources, is_screen
from yolo.inference.source_files import find_files, read_lines, suffix_of
from yolo.inference.sources import Sources
from yolo.inference.video import SUFFIXES as VIDEOS

STREAM_LIST = ".streams"
"""The ending of a list of cameras and streams, one a line."""


def open_sources(source: str | Path, vid_stride: int = 1) -> Sources | LiveSources | ScreenSources:
    """The frames of ``source``.

    A picture, a video, a folder of them (not its subfolders), a glob pattern, the URL of a file, a .txt list of files,
    folders and patterns; a camera's number, the URL of a stream, a .streams list of both; ``screen``. Of videos and
    streams every ``vid_stride``-th frame is taken. The first frame is read, or all streams connected to, at once, so
    that what cannot be used is refused here: raises DataError (missing, of no known kind, nothing in it can be read),
    DownloadError or ConfigError.
    """
    text = os.fspath(source)
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


def _streams(path: str) -> list[str]:
    lines = read_lines(path)
    for number, line in lines:
        if not is_stream(line):
            what = f"{line} is neither a camera's number nor a URL"
            raise DataError(what, where=f"{path}:{number}", mend="files are listed in a .txt")
    if not lines:
        raise DataError("the list is empty", where=path, mend="name a camera's number or a URL a line")
    return [line for _, line in lines]


def _is_remote_file(url: str) -> bool:
    """A file is not a stream: of a stream frames are left out, and it is connected to again when it ends."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise DataError(f"is no URL ({error})", where=url) from error
    return is_url(url) and suffix_of(parts.path) in PICTURES | VIDEOS


def _fetched(url: str, vid_stride: int) -> Sources:
    """The frames of a file elsewhere; it is fetched for this run only."""
    folder = tempfile.TemporaryDirectory(prefix="yolo-source-")
    try:
        file = download(url, Path(folder.name) / PurePosixPath(unquote(urlsplit(url).path)).name)
        return Sources((file,), vid_stride, kept=folder)
    except BaseException:
        folder.cleanup()
        raise
