"""A compiled detector file run directly: no OneFlow, no tracing."""

from __future__ import annotations

import time

import numpy as np

from yolo.errors import WeightsError
from yolo.program._native import native
from yolo.program.compiled import MOST_SHAPES, CompiledNetwork, Shape
from yolo.program.detection import NmsSettings, detection_head
from yolo.program.file import ProgramFile


class ProgramForward:
    """What ``yolo.inference.forward.Forward`` does for detection, on a ``ProgramFile``."""

    loss = None

    def __init__(self, program: ProgramFile, settings: NmsSettings, *, where: object) -> None:
        """Raises WeightsError where the file does not fit this machine; ``where`` names it."""
        self._program, self._settings, self._where = program, settings, where
        self._watch = native.Stopwatch()
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
        try:
            network = self._compiled.program(shape)
        except (ValueError, RuntimeError, MemoryError) as error:
            raise WeightsError(f"does not run here: {error}", where=self._where) from error
        shapes = self._compiled.head_shapes(shape)
        head = detection_head(shapes, file.anchors, file.strides, self._settings, self._watch)
        while len(self._detectors) >= MOST_SHAPES:
            self._detectors.pop(next(iter(self._detectors)))
        self._detectors[shape] = native.DetectorProgram(network, head)
        self.compile_seconds += time.perf_counter() - begin
        return self._detectors[shape]
