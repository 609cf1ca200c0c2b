"""YOLO label files: text in, checked label rows and polygons out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_MOST_SHOWN = 40
_LARGEST_CLASS = 2**24  # float32 holds whole numbers up to here


@dataclass
class LabelFile:
    """What one label file holds.

    ``rows`` is float32 ``[n, 5]`` (class, xywhn); ``segments`` has one float32 ``[k, 2]`` polygon (xyn) for
    each row, ``[0, 2]`` where the row was a box, ``lines`` the line that each was. ``problems`` are dropped lines as
    ``(line, reason)``; ``out_of_range`` are lines whose class no name belongs to, as ``(line, class)``. Lines count
    from 1.
    """

    rows: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 5), np.float32))
    segments: list[NDArray[np.float32]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    out_of_range: list[tuple[int, int]] = field(default_factory=list)


class _BadLineError(Exception):
    """Why one line is dropped."""


class _ClassError(Exception):
    """A whole class number outside the names."""


def parse_labels(content: bytes, classes: int | None) -> LabelFile:
    """The labels in ``content``; only lines that cannot be used are dropped, each with its reason.

    A line is ``class x y w h`` or ``class x1 y1 x2 y2 x3 y3 …``, normalised. ``classes`` is the number of
    names, None to allow every whole number. Never raises, whatever the bytes.
    """
    text = content.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    result = LabelFile()
    rows: list[tuple[float, ...]] = []
    first_line: dict[tuple[float, ...], int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words:
            continue
        try:
            row, segment = _parse_line(words, classes)
            if row in first_line:
                raise _BadLineError(f"duplicate of line {first_line[row]}")
        except _BadLineError as error:
            result.problems.append((number, str(error)))
            continue
        except _ClassError as error:
            result.out_of_range.append((number, error.args[0]))
            continue
        first_line[row] = number
        rows.append(row)
        result.segments.append(segment)
        result.lines.append(number)
    result.rows = np.array(rows, np.float32).reshape(-1, 5)
    return result


def _parse_line(words: list[str], classes: int | None) -> tuple[tuple[float, ...], NDArray[np.float32]]:
    """The label row and the polygon of one line. Raises _BadLineError or _ClassError."""
    if len(words) != 5 and (len(words) < 7 or len(words) % 2 == 0):
        raise _BadLineError(f"{len(words)} values, need 5 (class x y w h) or an odd number from 7 (class and corners)")
    numbers = [_number(word) for word in words]
    label, coordinates = numbers[0], numbers[1:]
    for word, value in zip(words[1:], coordinates):
        if not 0 <= value <= 1:
            raise _BadLineError(f"coordinate {_short(word)} is not within 0..1")
    if not label.is_integer() or (classes is None and label > _LARGEST_CLASS):
        raise _BadLineError(f"class {_short(words[0])} is not a usable whole number")
    segment = np.zeros((0, 2), np.float32)
    if len(words) > 5:
        segment = np.array(coordinates, np.float32).reshape(-1, 2)
        low, high = segment.min(0), segment.max(0)
        coordinates = [*((low + high) / 2).tolist(), *(high - low).tolist()]
    if coordinates[2] <= 0 or coordinates[3] <= 0:
        raise _BadLineError("the box has no area")
    if label < 0 or (classes is not None and label >= classes):
        raise _ClassError(int(label))
    return (label, *coordinates), segment


def _number(word: str) -> float:
    try:
        # Python reads 1_000 as a number; a label file that says so is broken.
        value = float(word) if "_" not in word else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _BadLineError(f"{_short(word)} is not a finite number")
    return value


def _short(word: str) -> str:
    shown = word if len(word) <= _MOST_SHOWN else word[:_MOST_SHOWN] + "…"
    return repr(shown)
