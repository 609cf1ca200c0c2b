"""A detector's options, checked."""

from __future__ import annotations

import numbers
from collections.abc import Sequence

from yolo.command import stride_multiple
from yolo.data.letterbox import Size
from yolo.errors import ConfigError


def size_pair(imgsz: int | Sequence[int]) -> Size:
    """(height, width) of one number, or of two."""
    if isinstance(imgsz, str):
        raise ConfigError(f"is {imgsz!r}", where="imgsz", mend="give a number")
    values = (imgsz, imgsz) if isinstance(imgsz, numbers.Real) else tuple(imgsz)
    values = values * 2 if len(values) == 1 else values
    if len(values) != 2:
        raise ConfigError(f"{len(values)} numbers", where="imgsz", mend="give one, or height and width")
    for value in values:
        check_range("imgsz", value, 1, whole=True)
    return int(values[0]), int(values[1])


def rounded_size(size: Size, stride: int) -> Size:
    """``size`` on the grid of ``stride``; says so when that is another."""
    height = stride_multiple(size[0], stride)
    return height, height if size[1] == size[0] else stride_multiple(size[1], stride)


def check_range(name: str, value: float, low: float, high: float | None = None, *, whole: bool = False) -> None:
    """Raise ConfigError for what is no number (``whole``: no whole one), or out of range, NaN included."""
    fits = isinstance(value, numbers.Real) and value >= low and (high is None or value <= high)
    if not fits or (whole and value % 1 != 0):
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ConfigError(f"is {value!r}", where=name, mend=f"give {'a whole number, ' if whole else ''}{bounds}")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise ConfigError for anything else."""
    if value not in choices:
        raise ConfigError(f"is {value!r}", where=name, mend=f"give {' or '.join(map(repr, choices))}")


def class_names(given: Sequence[str] | None, own: tuple[str, ...]) -> tuple[str, ...]:
    """The names given, else the weights' own."""
    if given is None:
        return own
    if len(given) != len(own):
        raise ConfigError(f"{len(given)} class names, but the weights have {len(own)} classes", where="names")
    return tuple(map(str, given))


def check_classes(classes: tuple[int, ...], names: tuple[str, ...]) -> None:
    """Raise ConfigError for a class number that the weights do not have."""
    foreign = [number for number in classes if not 0 <= number < len(names)]
    if foreign:
        what = f"the weights have no class {foreign[0]}"
        raise ConfigError(what, where="classes", mend=f"give numbers from 0 to {len(names) - 1}")
