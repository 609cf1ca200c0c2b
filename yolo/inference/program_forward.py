"""A compiled detector file run directly: no OneFlow, no tracing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from yolo import native
from yolo.errors import WeightsError
from yolo.inference.heads import CompiledHeads
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings
from yolo.program.detector import CompiledDetector
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
        self._where, self._watch = where, native.Stopwatch()
        with as_weights_error(where):
            compiled = CompiledNetwork(program.graph, precision=program.precision)
        self._detector = CompiledDetector(compiled, program.anchors, program.strides, settings, self._watch)

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""
        return self._detector.compile_seconds

    @property
    def nms_seconds(self) -> float:
        """Seconds spent in decoding and suppression so far; they are part of a call's time."""
        return self._watch.milliseconds / 1000

    def detect(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """images uint8 [B, 3, H, W] -> detections float32 [B, max_det, 6] (pixels of the input), counts int32 [B]."""
        with as_weights_error(self._where):
            program = self._detector.program(images.shape)
        return program(images)


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
