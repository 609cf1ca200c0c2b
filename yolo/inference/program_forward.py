"""A compiled detector file run directly: no OneFlow, no tracing."""

from __future__ import annotations

import numpy as np

from yolo.errors import WeightsError
from yolo.program._native import native
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings
from yolo.program.detector import CompiledDetector
from yolo.program.file import ProgramFile


class ProgramForward:
    """What ``yolo.inference.forward.Forward`` does for detection, on a ``ProgramFile``."""

    loss = None

    def __init__(self, program: ProgramFile, settings: NmsSettings, *, where: object) -> None:
        """Raises WeightsError where the file does not fit this machine; ``where`` names it."""
        self._where, self._watch = where, native.Stopwatch()
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
        try:
            program = self._detector.program(images.shape)
        except (ValueError, RuntimeError, MemoryError) as error:
            raise WeightsError(f"does not run here: {error}", where=self._where) from error
        return program(images)
