"""A compiled network with decoding and suppression behind it, one program for each shape of images."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from yolo.program._native import native
from yolo.program.compiled import MOST_SHAPES, CompiledNetwork, Shape
from yolo.program.detection import NmsSettings, detection_head


class CompiledDetector:
    """Programs from images uint8 ``[B, 3, H, W]`` to detections float32 ``[B, max_det, 6]`` and counts int32 ``[B]``.

    Those that were not asked for longest are dropped when there are many.
    """

    def __init__(
        self,
        compiled: CompiledNetwork,
        anchors: np.ndarray,
        strides: Sequence[int],
        settings: NmsSettings,
    ) -> None:
        self.settings, self._watch = settings, native.Stopwatch()
        self._compiled, self._head = compiled, (anchors, strides, settings, self._watch)
        self._programs: OrderedDict[Shape, native.DetectorProgram] = OrderedDict()
        self.compile_seconds = 0.0

    @property
    def nms_seconds(self) -> float:
        """Seconds spent in decoding and suppression so far."""
        return self._watch.milliseconds / 1000

    def program(self, shape: Shape) -> native.DetectorProgram:
        """The one for this shape, made when first needed. Raises as ``CompiledNetwork.program`` does."""
        if shape in self._programs:
            self._programs.move_to_end(shape)
            return self._programs[shape]
        begin = time.perf_counter()
        network = self._compiled.program(shape)
        head = detection_head(self._compiled.head_shapes(shape), *self._head)
        self._programs[shape] = native.DetectorProgram(network, head)
        while len(self._programs) > MOST_SHAPES:
            self._programs.popitem(last=False)
        self.compile_seconds += time.perf_counter() - begin
        return self._programs[shape]
