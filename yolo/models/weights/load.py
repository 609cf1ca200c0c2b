"""Weights files by name and by content."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from yolo.errors import DownloadError, WeightsError
from yolo.io.download import is_url, sha256_of
from yolo.models.weights import magic
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.hub import NAMES, fetch_published, find_published, split_sum
from yolo.models.weights.pt import read_pt
from yolo.models.weights.safetensors_io import read_safetensors

_SUFFIXES: Final = (".safetensors", ".pt")
_FOLDERS: Final = ("", "weights")


def load_weights(name_or_path: str | Path) -> Checkpoint:
    """Read a checkpoint: this project's `.safetensors` or a YOLOv5 `.pt`; the content decides, not the name.

    Raises WeightsError in one line for a file that is absent (and none of the published ones, which are fetched),
    broken, foreign or asks for forbidden names.
    """
    path = resolve_weights(name_or_path)
    try:
        with open(path, "rb") as stream:
            start = stream.read(16)
    except OSError as error:
        raise WeightsError(f"cannot be read: {error.strerror}", where=path) from None
    if start.startswith((magic.ZIP, magic.LEGACY[:4])):
        return read_pt(path)
    if start[8:9] == b"{":
        return read_safetensors(path)
    if start.startswith(magic.PROGRAM):
        hint = "name the weights that it was made from, or give it to yolo.detect or yolo.val"
        raise WeightsError("is a compiled detector already", where=path, hint=hint)
    if magic.ONNX.match(start):
        hint = "name the weights that it was made from"
        raise WeightsError("is an ONNX file for other runtimes", where=path, hint=hint)
    what = "empty file" if not start else "neither a .safetensors nor a PyTorch .pt file"
    raise WeightsError(what, where=path, hint="fetch or copy it again")


def resolve_weights(name_or_path: str | Path) -> Path:
    """The file that ``name_or_path`` means: a path, a name such as `yolov5s` (here or in `weights/`), a URL.

    A published file that is not there is fetched into `weights/`. `#sha256=<sum>` behind a name says what the file must
    be. Raises WeightsError that says where it looked, DownloadError.
    """
    name, stated = split_sum(str(name_or_path))
    tried = _places(name)
    found = _first_file(tried)
    if found is not None:
        if stated and sha256_of(found) != stated:
            raise WeightsError(f"has SHA-256 {sha256_of(found)}, not the one stated", where=found)
        return found
    if not name or os.path.isdir(name):
        what = "is a folder" if name else "no weights are named"
        raise WeightsError(what, where=name or None, hint="give the path of a .pt or .safetensors file")
    places = ", ".join(str(path)[:200] for path in tried)
    nothing = f"no weights {name[:200]!r} (looked for {places})"
    published = find_published(name, stated)
    if published is None:
        hint = f"give the path of a .pt or .safetensors file, or a published one's name: {', '.join(NAMES)}"
        raise WeightsError(nothing, hint=hint)
    try:
        return fetch_published(published)
    except DownloadError as error:
        raise WeightsError(f"{nothing}; {error}") from error


def _places(name: str) -> list[Path]:
    """Where a file of that name may lie, in order."""
    path = Path(name)
    published = find_published(name, None) if is_url(name) else None
    if published is not None:
        return [Path(published.target.name), published.target]
    folders = [Path(folder) for folder in (_FOLDERS if path.parent == Path() else _FOLDERS[:1])]
    suffixes = ("",) if name.lower().endswith(_SUFFIXES) else ("", *_SUFFIXES)
    return [folder / f"{path}{suffix}" for folder in folders for suffix in suffixes]


def _first_file(paths: list[Path]) -> Path | None:
    for path in paths:
        try:
            if path.is_file():
                return path
        except (OSError, ValueError):  # a name too long, or with a NUL
            break
    return None
