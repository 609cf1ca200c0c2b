"""What a reader of another format gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from yolo.errors import DataError


@dataclass(frozen=True)
class Label:
    """One object: its class, its box ``x1, y1, x2, y2`` in pixels, its outline ``x, y, x, y, …`` where there is one."""

    category: int
    box: tuple[float, float, float, float]
    outline: tuple[float, ...] = ()


@dataclass(frozen=True)
class Labelled:
    """A picture, where it goes in the new data set, and its objects."""

    picture: Path
    place: PurePosixPath
    """Below the data set's folder, with a folder ``images`` in it: ``images/train/x.jpg``."""
    split: str
    """train, val or test."""
    labels: tuple[Label, ...]
    size: tuple[int, int] | None = None
    """Height and width in pixels; None to have them read from the picture."""
    listed: str = ""
    """The list of pictures (``train.txt``) that names it; '' where the split is a folder."""


@dataclass(frozen=True)
class Conversion:
    """Class names and pictures of a whole data set; ``skipped`` counts, by reason, what was left out while reading."""

    names: Sequence[str]
    pictures: Iterable[Labelled]
    skipped: dict[str, int]


def count(skipped: dict[str, int], reason: str) -> None:
    """One more thing left out for ``reason``."""
    skipped[reason] = skipped.get(reason, 0) + 1


def box_of(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Corners of a box given by its upper left one and its size."""
    return x, y, x + width, y + height


def split_of(name: str) -> str:
    """train, val or test, as a file's or folder's name says; what says nothing is for training."""
    lower = name.lower()
    return next((split for split in ("test", "val") if split in lower), "train")


def need(condition: object, what: str, where: object) -> None:
    """Raise DataError unless ``condition`` holds."""
    if not condition:
        raise DataError(what, where=where, mend="is it another format? see python -m yolo.convert --help")
