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

from yolo import ops
from yolo.data.letterbox import Letterbox
from yolo.errors import YoloError
from yolo.program.backends.base import DetectorProgram
from yolo.program.backends.cpu import CpuBackend
from yolo.program.compiled import MOST_SHAPES, CompiledNetwork
from yolo.program.detection import NmsSettings
from yolo.program.ir import Shape
from yolo.runtime import require_own_process

if TYPE_CHECKING:
    from yolo.loss.settings import LossSettings

PIXELS_AT_ONCE = CpuBackend.pixels_at_once
"""Of what runs on a processor."""

Guard = Callable[[], contextlib.AbstractContextManager]
Part = tuple[np.ndarray, np.ndarray, float]
"""Detections of a part of a batch, their counts, and how many of the seconds went into decoding and suppression."""


class Run(Protocol):
    """Runs a program on its images, for detections and their counts."""

    compile_seconds: float

    def __call__(self, program: DetectorProgram, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


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

    pixels_at_once: int | None = PIXELS_AT_ONCE
    """So many go through together; None: all of a batch."""
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

    def lanes(self) -> list[Runner]:
        """Runners of one thread each, as many as this has, which may run beside one another and give what this gives;
        none where that is not to be had. They share their weights with this, and have memory of their own.
        """
        return []

    def prepare(self, height: int, width: int) -> None:  # noqa: B027 - most have nothing to make ready
        """Do at once what the first image would wait for, on a processor: weights are packed while a program is made,
        for images of this size. What fails then fails again, and is said, when there is an image.
        """

    @abc.abstractmethod
    def _part(self, images: np.ndarray, known: Sequence[np.ndarray]) -> Part:
        """The same of so many images as go through at once."""


def in_parts(runner: Runner, images: np.ndarray, run: Callable[[slice], Part]) -> Detections:
    """What ``run`` gives for slices of a batch, each of as many images as go through at once, and the time of all."""
    count = at_once(*images.shape[2:], runner.pixels_at_once) or len(images)
    begin, compiled = time.perf_counter(), runner.compile_seconds
    rows, counts, nms = zip(*(run(slice(start, start + count)) for start in range(0, len(images), count)))
    seconds = time.perf_counter() - begin - (runner.compile_seconds - compiled)
    return Detections(np.concatenate(rows), np.concatenate(counts), seconds - sum(nms), sum(nms))


def at_once(height: int, width: int, pixels: int | None = PIXELS_AT_ONCE) -> int | None:
    """How many images of a size go through together where so many ``pixels`` may; None: any number."""
    return None if pixels is None else max(1, pixels // (height * width))


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
        check: Callable[[], None] | None = None,
    ) -> None:
        """``anchors``: float32 ``[nl, na, 2]`` in pixels; ``run`` runs the programs in graphs, without it they run by
        themselves; ``guard`` is around their making; ``check`` comes before each run, and may raise.
        """
        self._compiled, self._head = compiled, (anchors, strides, settings)
        self._run, self._guard, self._check = run, guard, check or compiled.require_own_process
        self.pixels_at_once = compiled.pixels_at_once
        self._programs: OrderedDict[Shape, DetectorProgram] = OrderedDict()
        self._compiling = 0.0

    @property
    def compile_seconds(self) -> float:
        return self._compiling + (0.0 if self._run is None else self._run.compile_seconds)

    def lanes(self) -> list[Runner]:
        check = None if self._run is None else require_own_process
        return [CompiledRunner(lane, *self._head, guard=self._guard, check=check) for lane in self._compiled.lanes()]

    def prepare(self, height: int, width: int) -> None:
        if self._compiled.device == "cpu":  # a GPU's programs take seconds, and images may have another size
            with contextlib.suppress(YoloError, ValueError, RuntimeError, MemoryError):
                self._program((1, 3, height, width))

    def _part(self, images: np.ndarray, known: Sequence[np.ndarray]) -> Part:
        self._check()
        program = self._program(images.shape)
        rows, counts = program(images) if self._run is None else self._run(program, images)
        return rows, counts, program.nms_seconds

    def _program(self, shape: Shape) -> DetectorProgram:
        """The one for this shape, made when first needed."""
        if shape in self._programs:
            self._programs.move_to_end(shape)
            return self._programs[shape]
        begin = time.perf_counter()
        with self._guard():
            compiled, (anchors, strides, settings) = self._compiled, self._head
            shapes = compiled.graph.head_shapes(shape)
            program = compiled.backend.detector(compiled.program(shape), shapes, (anchors, strides), settings)
            self._programs[shape] = program
        while len(self._programs) > MOST_SHAPES:
            self._programs.popitem(last=False)
        self._compiling += time.perf_counter() - begin
        return self._programs[shape]
