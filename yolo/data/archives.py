"""What a data set file's ``download`` names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from yolo.errors import DataError
from yolo.io.brief import brief
from yolo.io.download import is_url

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_KEYS = {"url", "sha256", "into", "inside"}


@dataclass(frozen=True)
class Archive:
    """An archive on the web."""

    url: str
    sha256: str | None = None
    into: str = ""
    """The folder of the data set that it is unpacked into."""
    inside: str | None = ""
    """The folder of the archive that is meant; None: if all that it holds is one folder, that one."""

    @property
    def name(self) -> str:
        """The file name in the URL."""
        return PurePosixPath(urlsplit(self.url).path).name


def parse_archives(given: Any, root: Path, source: Path) -> tuple[Archive, ...]:
    """The archives that ``download`` in the file ``source`` names: a URL, or a list of URLs and of mappings with
    ``url``, ``sha256``, ``into`` and ``inside``. Raises DataError for everything else: commands are never run."""
    hint = f"put the data at {root} yourself"
    entries = given if isinstance(given, list) else [{"url": given, "inside": None}]
    archives = []
    for entry in entries:
        values = entry if isinstance(entry, dict) else {"url": entry}
        texts = all(isinstance(value, str) for key, value in values.items() if key != "inside")
        if (
            not texts
            or set(values) - _KEYS
            or "url" not in values
            or not isinstance(values.get("inside", ""), str | None)
        ):
            raise DataError("'download' is not a URL or a list of them", where=source, hint=hint)
        archives.append(_checked(Archive(**{**values, "url": values["url"].strip()}), source, hint))
    if not archives:
        raise DataError("'download' names nothing", where=source, hint=hint)
    return tuple(archives)


def _checked(archive: Archive, source: Path, hint: str) -> Archive:
    url = archive.url
    if len(url.split()) != 1 or not is_url(url):
        raise DataError("'download' is not a URL, and commands are never run", where=source, hint=hint)
    try:
        name = archive.name
    except ValueError as error:
        raise DataError(f"'download' is not a valid URL ({error})", where=source, hint=hint) from error
    if not name.lower().endswith(_SUFFIXES):
        raise DataError(f"'download' is no zip or tar archive: {brief(url, 200)}", where=source, hint=hint)
    if archive.sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", archive.sha256):
        raise DataError("'sha256' is not 64 hex digits", where=source)
    if ".." in PurePosixPath(archive.into).parts or PurePosixPath(archive.into).is_absolute() or "\0" in archive.into:
        raise DataError("'into' is not a folder of the data set", where=source)
    return archive
