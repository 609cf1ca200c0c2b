"""What gives detections of images, whichever way the network runs: how batches are split and what time they took."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from yolo.program._native import native
from yolo.program.detector import CompiledDetector

if TYPE_CHECKING:
    from yolo.loss.settings import LossSettings

# More images at once take more memory, and the CPU gains nothing from them except where they are so small that starting
# costs more than the work. So: one large image, or many small ones.
PIXELS_AT_ONCE = 640 * 640

Guard = Callable[[], contextlib.AbstractContextManager]
Run = Callable[[native.DetectorProgram, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Gives detections and their counts, by a program and its images."""
Part = tuple[np.ndarray, np.ndarray, float]
"""Detections of a part of a batch, their counts, and how many of the seconds went into decoding and suppression."""


@dataclasses.dataclass(frozen=True, eq=False)
class Detections:
    """What was found in a batch, and the seconds that it took without compiling.

    rows: float32 ``[B, max_det, 6]`` (x1, y1, x2, y2 in pixels of the input, confidence, class; best first); counts:
    int32 ``[B]``; nms_seconds: decoding and suppression.
    """

    rows: np.ndarray
    counts: np.ndarray
    network_seconds: float
    nms_seconds: float


class Runner(abc.ABC):
    """Gives detections of batches of any size. Calls go one after the other."""

    pixels_at_once = PIXELS_AT_ONCE
    loss: LossSettings | None = None
    """Of one that has ``validate``, which gives losses too."""

    @property
    @abc.abstractmethod
    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""

    def detect(self, images: np.ndarray, known: Sequence[np.ndarray] = ()) -> Detections:
        """Detections of images uint8 ``[B, 3, H, W]``.

        ``known``: label rows (class, xywhn) an image that take part in the suppression with full confidence.
        """
        return in_parts(self, images, lambda part: self._part(images[part], known[part]))

    @abc.abstractmethod
    def _part(self, images: np.ndarray, known: Sequence[np.ndarray]) -> Part:
        """The same of so many images as go through at once."""


def in_parts(runner: Runner, images: np.ndarray, run: Callable[[slice], Part]) -> Detections:
    """What ``run`` gives for slices of a batch, each of as many images as go through at once, and the time of all."""
    count = at_once(*images.shape[2:], runner.pixels_at_once)
    begin, compiled = time.perf_counter(), runner.compile_seconds
    rows, counts, nms = zip(*(run(slice(start, start + count)) for start in range(0, len(images), count)))
    seconds = time.perf_counter() - begin - (runner.compile_seconds - compiled)
    return Detections(np.concatenate(rows), np.concatenate(counts), seconds - sum(nms), sum(nms))


def at_once(height: int, width: int, pixels: int = PIXELS_AT_ONCE) -> int:
    """How many images of a size go through together where so many ``pixels`` may."""
    return max(1, pixels // (height * width))


class CompiledRunner(Runner):
    """Runs a compiled detector: by itself, or in graphs (``run``); ``guard`` is around the making of its programs."""

    pixels_at_once = 4 * PIXELS_AT_ONCE  # suppression has a thread an image

    def __init__(
        self, detector: CompiledDetector, run: Run | None = None, guard: Guard = contextlib.nullcontext
    ) -> None:
        self._detector, self._run, self._guard = detector, run, guard

    @property
    def compile_seconds(self) -> float:
        return self._detector.compile_seconds + getattr(self._run, "compile_seconds", 0.0)

    def _part(self, images: np.ndarray, known: Sequence[np.ndarray]) -> Part:
        with self._guard():
            program = self._detector.program(images.shape)
        before = self._detector.nms_seconds
        rows, counts = program(images) if self._run is None else self._run(program, images)
        return rows, counts, self._detector.nms_seconds - before
