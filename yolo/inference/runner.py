"""What gives detections of images, whichever way the network runs: how batches are split and what time they took."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from yolo import native, ops
from yolo.data.letterbox import Letterbox
from yolo.program.compiled import MOST_SHAPES, CompiledNetwork
from yolo.program.detection import NmsSettings, detection_head
from yolo.program.ir import Shape

if TYPE_CHECKING:
    from yolo.loss.settings import LossSettings

# More images at once take more memory, and the CPU gains nothing from them except where they are so small that starting
# costs more than the work. So: one large image, or many small ones.
PIXELS_AT_ONCE = 640 * 640

Guard = Callable[[], contextlib.AbstractContextManager]
Part = tuple[np.ndarray, np.ndarray, float]
"""Detections of a part of a batch, their counts, and how many of the seconds went into decoding and suppression."""


class Run(Protocol):
    """Runs a program on its images, for detections and their counts."""

    compile_seconds: float

    def __call__(self, program: native.DetectorProgram, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


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

    def in_originals(self, letterboxes: Sequence[Letterbox]) -> list[np.ndarray]:
        """Each image's own rows, ``[n, 6]``, in pixels of what it was before it was letterboxed."""
        found = []
        for rows, count, box in zip(self.rows, self.counts, letterboxes):
            kept = rows[:count].copy()
            kept[:, :4] = ops.scale_boxes(kept[:, :4], box)
            found.append(kept)
        return found


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
    """Runs a compiled network with decoding and suppression behind it, one program for each shape of images.

    The programs that were not asked for longest are dropped when there are many.
    """

    def __init__(
        self,
        compiled: CompiledNetwork,
        anchors: np.ndarray,
        strides: Sequence[int],
        settings: NmsSettings,
        run: Run | None = None,
        guard: Guard = contextlib.nullcontext,
    ) -> None:
        """``anchors``: float32 ``[nl, na, 2]`` in pixels; ``run`` runs the programs in graphs, without it they run by
        themselves; ``guard`` is around their making.
        """
        self._compiled, self._head = compiled, (anchors, strides, settings)
        self._run, self._guard = run, guard
        self._programs: OrderedDict[Shape, native.DetectorProgram] = OrderedDict()
        self._compiling = 0.0

    @property
    def compile_seconds(self) -> float:
        return self._compiling + (0.0 if self._run is None else self._run.compile_seconds)

    def _part(self, images: np.ndarray, known: Sequence[np.ndarray]) -> Part:
        program = self._program(images.shape)
        rows, counts = program(images) if self._run is None else self._run(program, images)
        return rows, counts, program.nms_seconds

    def _program(self, shape: Shape) -> native.DetectorProgram:
        """The one for this shape, made when first needed."""
        if shape in self._programs:
            self._programs.move_to_end(shape)
            return self._programs[shape]
        begin = time.perf_counter()
        with self._guard():
            network = self._compiled.program(shape)
            head = detection_head(self._compiled.graph.head_shapes(shape), *self._head)
            self._programs[shape] = native.DetectorProgram(network, head)
        while len(self._programs) > MOST_SHAPES:
            self._programs.popitem(last=False)
        self._compiling += time.perf_counter() - begin
        return self._programs[shape]
