"""Fetching a data set's archives, unpacking and converting them, whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from yolo.data.archives import Archive, parse_archives
from yolo.data.folders import new_folder
from yolo.data.unpack import BrokenArchiveError, unpack
from yolo.io.download import download, sha256_of

_LOG = logging.getLogger("yolo.data")


def fetch(wanted: Any, root: Path, source: Path, *, kind: str | None = None, names: Sequence[str] = ()) -> None:
    """Fetch the archives that ``wanted`` names (as parse_archives) and put their content at ``root``.

    ``source`` is the file that says so, for messages. With ``kind``, a format of ``yolo.data.convert``, the content is
    converted, with ``names`` as its classes. Archives that have come stay beside ``root`` until all is done, so that a
    later run goes on. Raises DataError and DownloadError: not a URL, no connection, a broken or dangerous archive.
    """
    archives = parse_archives(wanted, root, source)
    empty = not _holds_something(root)
    with _alone_in(root.parent):
        if not (empty and _holds_something(root)):  # else another process was quicker
            _fetch_all(archives, root, source, kind, names)


def _fetch_all(archives: Sequence[Archive], root: Path, source: Path, kind: str | None, names: Sequence[str]) -> None:
    with new_folder(root, source) as folder:
        files = [_download(archive, root) for archive in archives]
        unpacked = folder if kind is None else folder.parent / "unpacked"
        for archive, file in zip(archives, files):
            try:
                unpack(file, unpacked / archive.into, archive.inside)
            except BrokenArchiveError:
                file.unlink()  # of no use to a later run
                raise
        if kind is not None:
            from yolo.data.convert.run import convert

            _LOG.info("converting %s", root.name)
            convert(kind, unpacked, folder, names)
    for file in files:
        file.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold ``folder`` against other processes that would fetch into it; a new one goes when it stays empty."""
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _download(archive: Archive, root: Path) -> Path:
    """The archive on disk, beside ``root``; its name tells those of one name and several URLs apart."""
    file = root.parent / f".{root.name}-{hashlib.sha256(archive.url.encode()).hexdigest()[:8]}-{archive.name}"
    if archive.sha256 is not None and file.is_file() and sha256_of(file) != archive.sha256.lower():
        file.unlink()  # of an earlier run, before the sum was stated
    if not file.is_file():
        _LOG.info("fetching %s", archive.url)
        download(archive.url, file, sha256=archive.sha256)
    return file
