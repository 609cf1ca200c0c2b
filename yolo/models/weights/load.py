"""Weights files by name and by content."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from yolo.errors import WeightsError
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.pt import LEGACY_MAGIC, ZIP_MAGIC, read_pt
from yolo.models.weights.safetensors_io import read_safetensors

_SUFFIXES: Final = ("", ".safetensors", ".pt")
_FOLDERS: Final = ("", "weights")


def load_weights(name_or_path: str | Path) -> Checkpoint:
    """Read a checkpoint: this project's `.safetensors` or a YOLOv5 `.pt`; the content decides, not the name.

    Raises WeightsError in one line for a file that is absent, broken, foreign or asks for forbidden names.
    """
    path = resolve_weights(name_or_path)
    try:
        with open(path, "rb") as stream:
            start = stream.read(16)
    except OSError as error:
        raise WeightsError(f"cannot be read: {error.strerror}", where=path) from None
    if start.startswith((ZIP_MAGIC, LEGACY_MAGIC[:4])):
        return read_pt(path)
    if start[8:9] == b"{":
        return read_safetensors(path)
    what = "empty file" if not start else "neither a .safetensors nor a PyTorch .pt file"
    raise WeightsError(what, where=path, mend="fetch or copy it again")


def resolve_weights(name_or_path: str | Path) -> Path:
    """The file that ``name_or_path`` means: a path, or a name such as `yolov5s`, here or in `weights/`.

    Raises WeightsError that says where it looked.
    """
    name = Path(name_or_path)
    folders = [Path(folder) for folder in (_FOLDERS if name.parent == Path() else _FOLDERS[:1])]
    tried = [folder / f"{name}{suffix}" for folder in folders for suffix in _SUFFIXES]
    for path in tried:
        try:
            if path.is_file():
                return path
        except (OSError, ValueError):  # a name too long, or with a NUL
            break
    places = ", ".join(str(path)[:200] for path in tried)
    mend = "give the path of a .pt or .safetensors file, or put the published yolov5*.pt into weights/"
    raise WeightsError(f"no weights {str(name_or_path)[:200]!r} (looked for {places})", mend=mend)
