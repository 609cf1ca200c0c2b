"""What a reader of another format gives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from yolo.errors import DataError

_SPLIT_WORD = re.compile(r"(?:^|[^a-z]|mini)(train|val|test)(?:id|idation|ing)?(?:set)?(?![a-z])")


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


def count(skipped: dict[str, int], reason: str, number: int = 1) -> None:
    """So many more things left out for ``reason``."""
    if number:
        skipped[reason] = skipped.get(reason, 0) + number


def box_of(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    """Corners of a box given by its upper left one and its size."""
    return x, y, x + width, y + height


def split_of(name: str) -> str:
    """train, val or test, as a file's or folder's name says; what says nothing is for training."""
    said = splits_in(name)
    return next((split for split in ("test", "val") if split in said), "train")


def splits_in(name: str) -> set[str]:
    """The splits that a name has as words: val2017, minival, DET-test-dev, TrainImages; not latest or festival."""
    words = re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()
    return set(_SPLIT_WORD.findall(words))


def need(condition: object, what: str, where: object) -> None:
    """Raise DataError unless ``condition`` holds."""
    if not condition:
        raise DataError(what, where=where, mend="is it another format? see python -m yolo.convert --help")
