"""Published weights by name: fetched when they are not there, used only when their SHA-256 is the expected one."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from yolo.errors import WeightsError
from yolo.io.download import download, is_url, sha256_of

_LOG = logging.getLogger("yolo.download")
RELEASES: Final = "https://github.com/ultralytics/yolov5/releases/download"
FOLDER: Final = Path("weights")
_MARK: Final = "#sha256="
_KNOWN: Final = {
    "yolov5n.pt": ("v7.0", "4f180cf23ba0717ada0badd6c685026d73d48f184d00fc159c2641284b2ac0a3"),
    # Of yolov5s only the sum of an earlier release is known; a file that can be checked is worth more than a newer one.
    "yolov5s.pt": ("v6.0", "c3b140f32001a9eec4afa07120b3851eb1b6c2c7c7e7a4303af9eadfacbeb598"),
}
"""Release and SHA-256 of the files whose sums this project knows."""
NAMES: Final = tuple(f"yolov5{size}{levels}.pt" for levels in ("", "6") for size in "nsmlx")
"""The detectors among the published files."""


@dataclass(frozen=True)
class Published:
    """A weights file on the web: where it is, what it must be, where it would be put."""

    url: str
    sha256: str | None
    """None where the sum is not known and the user stated none."""
    target: Path


def split_sum(name: str) -> tuple[str, str | None]:
    """A weights name and the SHA-256 that a user stated behind it: ``yolov5m.pt#sha256=<64 hex digits>``.

    Raises WeightsError for a sum that is none.
    """
    name, mark, stated = name.partition(_MARK)
    if mark and not re.fullmatch("[0-9a-fA-F]{64}", stated):
        raise WeightsError(f"{stated[:80]!r} is not a SHA-256 sum", where=name[:200], hint="give its 64 hex digits")
    return name, stated.lower() if mark else None


def find_published(name: str, stated: str | None) -> Published | None:
    """The file that ``name`` means: a URL, or one of NAMES (``.pt`` may lack, a folder be given); else None."""
    if is_url(name):
        try:
            file = PurePosixPath(unquote(urlsplit(name).path)).name
        except ValueError:
            file = ""
        if not file.endswith((".pt", ".safetensors")):
            raise WeightsError("does not end in .pt or .safetensors", where=name[:200], hint="name a weights file")
        return Published(name, stated, FOLDER / file)
    path = Path(name)
    file = path.name if path.suffix else f"{path.name}.pt"
    if file not in NAMES:
        return None
    release, known = _KNOWN.get(file, ("v7.0", None))
    folder = FOLDER if path.parent == Path() else path.parent
    return Published(f"{RELEASES}/{release}/{file}", stated or known, folder / file)


def fetch_published(published: Published) -> Path:
    """Fetch the file and give its path.

    A file of unknown sum is fetched but not used: the error says what sum it has, and how to accept it. Raises
    WeightsError or DownloadError.
    """
    target, expected = published.target, published.sha256
    unverified = target.with_name(f".{target.name}.unverified")
    if expected is not None and unverified.is_file() and sha256_of(unverified) == expected:
        os.replace(unverified, target)
        return target
    if expected is not None:
        _LOG.info("fetching %s to %s", published.url, target)
        return download(published.url, target, sha256=expected)
    if not unverified.is_file():
        _LOG.info("fetching %s", published.url)
        download(published.url, unverified)
    raise WeightsError(
        f"fetched from {published.url}, but nothing here says what its SHA-256 must be; it is {sha256_of(unverified)}",
        where=target,
        hint=f"if that is right, say --weights '{_asked(published)}{_MARK}{sha256_of(unverified)}'",
    )


def _asked(published: Published) -> str:
    if not published.url.startswith(RELEASES):
        return published.url
    folder = published.target.parent
    return published.target.name if folder == FOLDER else str(published.target)
