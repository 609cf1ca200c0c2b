"""A detector's options, checked."""

from __future__ import annotations

import numbers
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from yolo.config.values import stride_multiple, stride_multiples
from yolo.data.letterbox import Size
from yolo.errors import ConfigError
from yolo.io.brief import brief


def size_pair(imgsz: int | Sequence[int]) -> Size:
    """(height, width) of one number, or of two."""
    imgsz = imgsz.tolist() if isinstance(imgsz, np.ndarray) else imgsz
    if not isinstance(imgsz, (numbers.Real, list, tuple)):
        raise ConfigError(f"is {brief(imgsz)}", where="imgsz", hint="give a number, or height and width")
    values = (imgsz, imgsz) if isinstance(imgsz, numbers.Real) else tuple(imgsz)
    values = values * 2 if len(values) == 1 else values
    if len(values) != 2:
        raise ConfigError(f"{len(values)} numbers", where="imgsz", hint="give one, or height and width")
    for value in values:
        check_range("imgsz", value, 1, whole=True)
    return int(values[0]), int(values[1])


def rounded_size(size: Size, stride: int) -> Size:
    """``size`` on the grid of ``stride``; says so when that is another."""
    if size[0] == size[1]:
        return (stride_multiple(size[0], stride),) * 2
    height, width = stride_multiples(size, stride)
    return height, width


def check_range(name: str, value: float, low: float, high: float | None = None, *, whole: bool = False) -> None:
    """Raise ConfigError for what is no number (``whole``: no whole one), or out of range, NaN included."""
    fits = isinstance(value, numbers.Real) and value >= low and (high is None or value <= high)
    if not fits or (whole and value % 1 != 0):
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ConfigError(f"is {brief(value)}", where=name, hint=f"give {'a whole number, ' if whole else ''}{bounds}")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raise ConfigError for anything else."""
    if value not in choices:
        raise ConfigError(f"is {brief(value)}", where=name, hint=f"give {' or '.join(map(repr, choices))}")


def check_flag(name: str, value: object) -> bool:
    """Whether it is set, None meaning no; raises ConfigError for what is neither yes nor no."""
    if not isinstance(value, (bool, np.bool_, numbers.Integral, type(None))) or value not in (None, 0, 1):
        raise ConfigError(f"is {brief(value)}", where=name, hint="give True or False")
    return bool(value)


def weights_files(weights: object) -> tuple[str | Path, ...]:
    """The files of one name or a list or tuple of them; raises ConfigError for what is no path."""
    files = tuple(weights) if isinstance(weights, (list, tuple)) else (weights,)
    for file in files:
        if not isinstance(file, (str, os.PathLike)):
            raise ConfigError(
                f"is {brief(file)}", where="weights", hint="give the path of a weights file, or a list of them"
            )
    return tuple(file if isinstance(file, str) else Path(file) for file in files)


def calibration_file(int8: object) -> str | Path | None:
    """The data set's file; raises ConfigError for what names none."""
    if int8 is None or int8 is False:
        return None
    if not isinstance(int8, (str, os.PathLike)):
        raise ConfigError(f"is {brief(int8)}", where="int8", hint="name the data set (YAML) to be calibrated on")
    return int8


def class_numbers(classes: object) -> tuple[int, ...]:
    """Class numbers, ascending: of one, of several, of None for all. Raises ConfigError for anything else."""
    given = classes.tolist() if isinstance(classes, np.ndarray) else classes
    if given is None:
        return ()
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        given = (given,)
    chosen = set()
    for number in given:
        if not isinstance(number, numbers.Real) or isinstance(number, bool) or number % 1 != 0:
            raise ConfigError(
                f"{brief(number)} is not a class number", where="classes", hint="give one such as 0, or a list"
            )
        chosen.add(int(number))
    return tuple(sorted(chosen))


def given_names(given: Sequence[str] | Mapping[int, str] | None) -> tuple[str, ...] | None:
    """The names given, in order or by class number; None for none. Raises ConfigError for what is neither."""
    if given is None:
        return None
    given = given.tolist() if isinstance(given, np.ndarray) else given
    if isinstance(given, Mapping) and set(given) == set(range(len(given))):
        given = [given[number] for number in range(len(given))]
    if not isinstance(given, (list, tuple)):
        raise ConfigError(f"is {brief(given, 200)}", where="names", hint="give a list of names, or a dict from 0")
    for name in given:
        if isinstance(name, bool) or not isinstance(name, (str, numbers.Real)):
            raise ConfigError(f"{brief(name)} is not a class name", where="names", hint="give each name as text")
    return tuple(map(str, given))


def class_names(given: tuple[str, ...] | None, own: tuple[str, ...]) -> tuple[str, ...]:
    """The names given, else the weights' own; raises ConfigError for another number of them."""
    if given is None:
        return own
    if len(given) != len(own):
        raise ConfigError(f"{len(given)} class names, but the weights have {len(own)} classes", where="names")
    return given


def check_classes(classes: tuple[int, ...], names: tuple[str, ...]) -> None:
    """Raise ConfigError for a class number that the weights do not have."""
    foreign = [number for number in classes if not 0 <= number < len(names)]
    if foreign:
        what = f"the weights have no class {foreign[0]}"
        raise ConfigError(what, where="classes", hint=f"give numbers from 0 to {len(names) - 1}")
