"""A compiled detector file run directly: no OneFlow, no tracing."""

from __future__ import annotations

import time

import numpy as np

from yolo import _program as native
from yolo.errors import WeightsError
from yolo.program.compiled import CompiledNetwork, Shape
from yolo.program.detection import NmsSettings, detection_head
from yolo.program.file import ProgramFile


class ProgramForward:
    """What ``yolo.inference.forward.Forward`` does for detection, on a ``ProgramFile``."""

    def __init__(self, program: ProgramFile, settings: NmsSettings, *, where: object) -> None:
        """Raises WeightsError where the file does not fit this machine; ``where`` names it."""
        self._program, self._settings, self._where = program, settings, where
        self._watch = native.Stopwatch()
        self._compiled = CompiledNetwork(program.graph, precision=program.precision)
        self._heads: dict[Shape, native.DetectionHead] = {}
        self.compile_seconds = 0.0

    @property
    def nms_seconds(self) -> float:
        """Seconds spent in decoding and suppression so far; they are part of a call's time."""
        return self._watch.milliseconds / 1000

    def detect(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """images uint8 [B, 3, H, W] -> detections float32 [B, max_det, 6] (pixels of the input), counts int32 [B]."""
        executor, head = self._executors(images.shape)
        return head(executor(images))

    def _executors(self, shape: Shape) -> tuple[native.InferenceProgram, native.DetectionHead]:
        begin = time.perf_counter()
        try:
            executor = self._compiled.program(shape)
        except (ValueError, RuntimeError, MemoryError) as error:
            raise WeightsError(f"does not run here: {error}", where=self._where) from error
        if shape not in self._heads:
            file = self._program
            shapes = self._compiled.head_shapes(shape)
            self._heads = {shape: detection_head(shapes, file.anchors, file.strides, self._settings, self._watch)}
            self.compile_seconds += time.perf_counter() - begin
        return executor, self._heads[shape]
