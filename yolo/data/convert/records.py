"""What a reader of another format gives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from yolo.errors import DataError

_EXAMPLES = 3
_SPLIT_WORD = re.compile(r"(?:^|[^a-z]|mini)(train|val|test)(?:id|idation|ing)?(?:set)?(?![a-z])")


class Tally(dict[str, int]):
    """How many things there were, by reason; ``examples`` has the first few names for each reason that has any."""

    def __init__(self) -> None:
        super().__init__()
        self.examples: dict[str, list[str]] = {}

    def add(self, other: Tally) -> None:
        """All that ``other`` has counted, too."""
        for reason, number in other.items():
            count(self, reason, number, *other.examples.get(reason, ()))

    def lines(self) -> list[str]:
        """``3 images that … (a.jpg, b.jpg, …)`` for each reason, sorted."""
        return [f"{number} {reason}{self._some(reason, number)}" for reason, number in sorted(self.items())]

    def _some(self, reason: str, number: int) -> str:
        named = self.examples.get(reason, [])
        return f" ({', '.join(named)}{', …' if number > len(named) else ''})" if named else ""


@dataclass(frozen=True)
class Label:
    """One object: its class, its box ``x1, y1, x2, y2`` in pixels, its outline ``x, y, x, y, …`` where there is one."""

    category: int
    box: tuple[float, float, float, float]
    outline: tuple[float, ...] = ()


@dataclass(frozen=True)
class Labelled:
    """An image, where it goes in the new data set, and its objects."""

    image: Path
    place: PurePosixPath
    """Below the data set's folder, with a folder ``images`` in it: ``images/train/x.jpg``."""
    split: str
    """train, val or test."""
    labels: tuple[Label, ...]
    size: tuple[int, int] | None = None
    """Height and width in pixels as the annotations say; None where they do not."""
    listed: str = ""
    """The list of images (``train.txt``) that names it; '' where the split is a folder."""
    number: int | str | None = None
    """Its id in the annotations, where they have ids."""
    file: Path | None = None
    """The annotation file, where it is said of which one an image is."""
    scaled: bool = True
    """Boxes are in units of ``size`` even if the image has another one; False: in the image's own pixels."""


@dataclass(frozen=True)
class Conversion:
    """Class names and images of a whole data set.

    ``skipped`` counts what was left out while reading, ``noticed`` what was taken otherwise than the files say it.
    """

    names: Sequence[str]
    images: Iterable[Labelled]
    skipped: Tally
    noticed: Tally = field(default_factory=Tally)


def count(tally: Tally, reason: str, number: int = 1, *examples: object) -> None:
    """So many more things for ``reason``, of which ``examples`` are some by name."""
    if number:
        tally[reason] = tally.get(reason, 0) + number
        some = tally.examples.setdefault(reason, []) if examples else []
        some += [text for text in map(shown, examples) if text not in some][: _EXAMPLES - len(some)]


def is_number(value: Any) -> bool:
    """Whether ``value`` is a float, or an integer that a float can hold; True and False are none."""
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**63)


def is_id(value: Any) -> bool:
    """Whether ``value`` can name an image: a whole number or text."""
    return type(value) in (int, str)


def shown(text: object, most: int = 200) -> str:
    """A name from a file, fit for a human-readable line: not endless, nothing that would move a terminal's cursor."""
    start = str(text)[: most + 1]
    plain = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in start[:most])
    return f"{plain}…" if len(start) > most else plain


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
        raise DataError(what, where=where, hint="is it another format? see python -m yolo.convert --help")


def require_text(names: Sequence[str], where: object, hint: str) -> None:
    """Raise DataError for class names that are no Unicode text, which no file could hold."""
    for name in names:
        if not is_text(name):
            raise DataError(f"the class name {shown(name)} is no Unicode text", where=where, hint=hint)


def is_text(name: str) -> bool:
    """Whether a name is Unicode text."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # bytes of a disk's name that are none, half a pair in JSON
        return False
    return True
