"""Fetching a data set's archive and unpacking it, whole or not at all."""

from __future__ import annotations

import logging
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from yolo.data.folders import new_folder
from yolo.errors import DataError

_LOG = logging.getLogger("yolo.data")
_TIMEOUT = 30.0
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def fetch(download: str, root: Path, source: Path) -> None:
    """Fetch the archive at the URL ``download`` and put its content at ``root``.

    ``source`` is the file that says so, for messages. An archive whose only entry is one folder stands for
    that folder's content. Raises DataError: not a URL, no connection, a broken or dangerous archive.
    """
    url = _checked_url(download, root, source)
    with new_folder(root, source) as folder, tempfile.TemporaryDirectory() as temporary:
        archive = Path(temporary) / PurePosixPath(urlsplit(url).path).name
        _LOG.info("fetching %s", url)
        _download(url, archive)
        _unpack(archive, folder)
        _unwrap(folder)


def _checked_url(download: str, root: Path, source: Path) -> str:
    url = download.strip()
    by_hand = f"put the data at {root} yourself"
    if len(url.split()) != 1 or not url.lower().startswith(("http://", "https://")):
        raise DataError("'download' is not a URL, and commands are never run", where=source, mend=by_hand)
    try:
        name = urlsplit(url).path.lower()
    except ValueError as error:
        raise DataError(f"'download' is not a valid URL ({error})", where=source, mend=by_hand) from error
    if not name.endswith(_ARCHIVES):
        raise DataError(f"'download' is no zip or tar archive: {url}", where=source, mend=by_hand)
    return url


def _download(url: str, target: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer, open(target, "wb") as stream:
            shutil.copyfileobj(answer, stream, 1 << 20)
            length = answer.headers.get("Content-Length")
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"cannot be fetched ({reason})", where=url, mend="check the connection, or fetch it by hand"
        ) from error
    if length is not None and length.isdigit() and int(length) != target.stat().st_size:
        raise DataError("the connection broke off", where=url, mend="try again")


def _unpack(archive: Path, folder: Path) -> None:
    """Write the archive's files under ``folder``; nothing else an archive may hold is let out."""
    try:
        for name, stream in _members(archive):
            target = (folder / name).resolve()
            if not target.is_relative_to(folder.resolve()):
                raise DataError(f"unsafe path in the archive: {name!r}", where=archive.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            with stream, open(target, "wb") as output:
                shutil.copyfileobj(stream, output, 1 << 20)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, ValueError, RuntimeError) as error:
        raise DataError(f"the archive is broken ({error})", where=archive.name) from error


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of each ordinary file; links and devices are left out."""
    if archive.suffix.lower() == ".zip":
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                if not info.is_dir():
                    yield info.filename, opened.open(info)
        return
    with tarfile.open(archive) as opened:
        for member in opened:
            stream = opened.extractfile(member) if member.isfile() else None
            if stream is not None:
                yield member.name, stream


def _unwrap(folder: Path) -> None:
    """Where all that ``folder`` holds is one folder, move that one's content up."""
    inside = [entry for entry in folder.iterdir() if entry.name != "__MACOSX"]
    if len(inside) != 1 or not inside[0].is_dir() or inside[0].name in ("images", "labels"):
        return
    wrapper = inside[0].rename(folder / ".wrapper")
    for entry in wrapper.iterdir():
        entry.rename(folder / entry.name)
    wrapper.rmdir()
