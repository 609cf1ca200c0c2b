"""What one request wants of the detections."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from yolo.inference.detector import Detector
from yolo.inference.results import Result
from yolo.serving.limits import RefusedError


@dataclasses.dataclass(frozen=True)
class Option:
    """One of an address."""

    read: Callable[[str], Any]
    """Raises ValueError for what it does not take."""
    takes: str
    schema: Mapping[str, Any]
    """As OpenAPI describes its values."""


def _conf(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


def _count(text: str) -> int:
    value = _number(text)
    if value < 1:
        raise ValueError
    return value


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ValueError
    return int(text)


def _classes(text: str) -> tuple[int, ...]:
    return tuple(_number(word.strip()) for word in text.split(","))


def _flag(text: str) -> bool:
    if text.lower() not in ("1", "true", "0", "false"):
        raise ValueError
    return text.lower() in ("1", "true")


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        "annotated": Option(_flag, "1 or 0", {"type": "boolean"}),
        "classes": Option(_classes, "class numbers, such as 0,2", {"type": "string"}),
        "conf": Option(_conf, "a number from 0 to 1", {"type": "number", "minimum": 0, "maximum": 1}),
        "max_det": Option(_count, "a whole number of at least 1", {"type": "integer", "minimum": 1}),
    }
)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A part of what the detector finds; None: as it was started.

    Behind the suppression this is what a suppression with the higher threshold would have given, since boxes are kept
    or dropped by more confident ones alone. That is not so for another IoU threshold, which a request cannot choose.
    """

    conf: float | None = None
    max_det: int | None = None
    classes: tuple[int, ...] | None = None
    annotated: bool = False
    """The image with the detections drawn on it."""

    @classmethod
    def of_query(cls, query: Sequence[tuple[str, str]]) -> Wanted:
        """From the pairs of an address: ``conf=0.5&classes=0,2&classes=5``; raises RefusedError for a wrong one."""
        values: dict[str, Any] = {}
        for name, text in query:
            if name not in OPTIONS:
                raise RefusedError(422, f"unknown option {name[:40]!r}; there are {', '.join(OPTIONS)}")
            try:
                value = OPTIONS[name].read(text)
            except ValueError:
                raise RefusedError(422, f"{name}: is {text[:40]!r}; give {OPTIONS[name].takes}") from None
            values[name] = values.get(name, ()) + value if name == "classes" else value
        return cls(**values)

    def check(self, detector: Detector) -> None:
        """Raises RefusedError for what the detector was not started for."""
        if self.conf is not None and self.conf < detector.conf:
            raise RefusedError(422, f"conf: is {self.conf:g}; this server keeps nothing below {detector.conf:g}")
        if self.max_det is not None and self.max_det > detector.max_det:
            raise RefusedError(422, f"max_det: is {self.max_det}; this server keeps {detector.max_det} at most")
        for number in self.classes or ():
            if number not in (detector.classes or range(len(detector.names))):
                raise RefusedError(422, f"classes: {number} is none of this server's")

    def part_of(self, result: Result) -> Result:
        """The result with those detections alone, best first."""
        rows = result.rows
        if self.conf is not None:
            rows = rows[rows[:, 4] > np.float32(self.conf)]
        if self.classes is not None:
            rows = rows[np.isin(rows[:, 5], self.classes)]
        return dataclasses.replace(result, rows=rows[: self.max_det])
