"""A compiled detector file run directly: no OneFlow, no tracing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

import numpy as np

from yolo.errors import WeightsError
from yolo.inference.heads import CompiledHeads
from yolo.program._native import native
from yolo.program.compiled import MOST_SHAPES, CompiledNetwork, Shape
from yolo.program.detection import NmsSettings, detection_head
from yolo.program.file import ProgramFile


@contextlib.contextmanager
def as_weights_error(where: object) -> Iterator[None]:
    """Raise WeightsError, which names the file, for what the compiler and its executors refuse."""
    try:
        yield
    except (ValueError, RuntimeError, MemoryError) as error:
        what = str(error)[:400] or "there is not enough memory"
        raise WeightsError(f"does not run here: {what}", where=where) from error


class ProgramForward:
    """What ``yolo.inference.forward.Forward`` does for detection, on a ``ProgramFile``."""

    loss = None

    def __init__(self, program: ProgramFile, settings: NmsSettings, *, where: object) -> None:
        """Raises WeightsError where the file does not fit this machine; ``where`` names it."""
        self._program, self._settings, self._where = program, settings, where
        self._watch = native.Stopwatch()
        with as_weights_error(where):
            self._compiled = CompiledNetwork(program.graph, precision=program.precision)
        self._detectors: dict[Shape, native.DetectorProgram] = {}
        self.compile_seconds = 0.0

    @property
    def nms_seconds(self) -> float:
        """Seconds spent in decoding and suppression so far; they are part of a call's time."""
        return self._watch.milliseconds / 1000

    def detect(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """images uint8 [B, 3, H, W] -> detections float32 [B, max_det, 6] (pixels of the input), counts int32 [B]."""
        return self._detector(images.shape)(images)

    def _detector(self, shape: Shape) -> native.DetectorProgram:
        if shape in self._detectors:
            return self._detectors[shape]
        begin, file = time.perf_counter(), self._program
        with as_weights_error(self._where):
            network = self._compiled.program(shape)
            shapes = self._compiled.head_shapes(shape)
            head = detection_head(shapes, file.anchors, file.strides, self._settings, self._watch)
            detector = native.DetectorProgram(network, head)
        while len(self._detectors) >= MOST_SHAPES:
            self._detectors.pop(next(iter(self._detectors)))
        self._detectors[shape] = detector
        self.compile_seconds += time.perf_counter() - begin
        return self._detectors[shape]


class ProgramHeads(CompiledHeads):
    """The raw heads of a ``ProgramFile``."""

    def __init__(self, program: ProgramFile, *, where: object) -> None:
        """Raises WeightsError, as a call does, where the file does not fit this machine; ``where`` names it."""
        self._where = where
        with as_weights_error(where):
            compiled = CompiledNetwork(program.graph, precision=program.precision)
        super().__init__(compiled, program.anchors, program.strides)

    def __call__(self, images: np.ndarray) -> Sequence[np.ndarray]:
        with as_weights_error(self._where):
            return super().__call__(images)
