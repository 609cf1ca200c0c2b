"""From images made ready to Results: the network, suppression, and slices where they are wanted."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from yolo.errors import DataError
from yolo.inference.inputs import Ready
from yolo.inference.results import Result
from yolo.inference.runner import Detections, Runner
from yolo.inference.slices.slicer import Slicer

if TYPE_CHECKING:
    from yolo.inference.sources.base import Frame

MakeSlicer = Callable[[Callable[[NDArray[np.uint8]], Detections]], Slicer]
"""Makes what looks at slices by means of what gives detections of a batch."""

AnyLook = Callable[[Sequence[Ready]], list[Result]]
MadeFrame = tuple["Frame", Ready | DataError] | None
"""A frame made ready, or what is wrong with it; None where there is none."""
FoundFrame = tuple["Frame", Result | DataError] | None
"""The same with what was found in it."""


class Look:
    """What a runner finds in images made ready; its calls go one after the other."""

    def __init__(
        self,
        runner: Runner,
        names: tuple[str, ...],
        slicer: MakeSlicer | None,
        turn: contextlib.AbstractContextManager[object],
        *,
        beside: int = 1,
    ) -> None:
        """``turn`` is around each run of the network; ``beside``: so many of these share the processor, so that an
        image's own time is that part of the time that a run takes.
        """
        self._runner, self._names, self._turn, self._beside = runner, names, turn, beside
        self._slicer = None if slicer is None else slicer(self._detect)

    def __call__(self, group: Sequence[Ready]) -> list[Result]:
        """The Results of images of one letterboxed shape, which go through the network together."""
        images = group[0].image[None] if len(group) == 1 else np.stack([ready.image for ready in group])
        found = self._detect(images)
        begin = time.perf_counter()
        detections = found.in_originals([ready.box for ready in group])
        seconds = {
            "preprocess": sum(ready.seconds for ready in group),
            "inference": found.network_seconds / self._beside,
            "nms": (found.nms_seconds + time.perf_counter() - begin) / self._beside,
        }
        if self._slicer is not None:
            detections, more = self._slicer.refine((ready.pixels for ready in group), detections)
            seconds = {name: value + more[name] / self._beside for name, value in seconds.items()}
        speed = {name: 1000 * value / len(group) for name, value in seconds.items()}
        return [
            Result(ready.original, rows, self._names, ready.path, input_size=ready.box.size, speed_ms=speed)
            for ready, rows in zip(group, detections)
        ]

    def _detect(self, images: NDArray[np.uint8]) -> Detections:
        with self._turn:
            return self._runner.detect(images)


def look_at(look: AnyLook, ready: Ready) -> Result:
    """What is found in one image."""
    return look([ready])[0]


def look_at_frame(look: AnyLook, made: MadeFrame) -> FoundFrame:
    """The same of a frame."""
    if made is None:
        return None
    frame, ready = made
    if isinstance(ready, DataError):
        return frame, ready
    return frame, dataclasses.replace(look_at(look, ready), path=frame.path, frame=frame.number)


def without_refused(frames: Iterable[FoundFrame]) -> Iterator[tuple[Frame, Result]]:
    """Those with a Result; the others are refused as their turn comes."""
    for frame, found in filter(None, frames):
        if isinstance(found, DataError):
            frame.refuse(found)
        else:
            yield frame, found
