"""Pictures in, detections out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import oneflow as flow

from graphs.base import StaticGraph, called, to_unit_range
from yolo.models.decode import decode
from yolo.program._native import native
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings, detection_head, suppression
from yolo.program.operator import call


class DetectGraph(StaticGraph):
    """images uint8 [B, 3, H, W] -> detections float32 [B, max_det, 6], counts int32 [B].

    Rows are x1, y1, x2, y2 in pixels of the input, confidence and class, best first. The network runs as plain OneFlow
    modules; this is what ``CompiledDetectGraph`` must equal. ``watch`` adds up the time of decoding and suppression.
    """

    def __init__(self, network: flow.nn.Module, settings: NmsSettings, watch: native.Stopwatch) -> None:
        super().__init__()
        self.network = network
        self._parts = (network.anchors, network.strides, settings, watch)

    def build(self, images: flow.Tensor) -> tuple[flow.Tensor, flow.Tensor]:
        anchors, strides, settings, watch = self._parts
        predictions = decode(called(self.network)(to_unit_range(images)), anchors, strides)
        return suppressed(predictions, settings, watch)


class CompiledDetectGraph(StaticGraph):
    """The same as one operator: the network's compiled program, and decoding and suppression behind it."""

    def __init__(
        self,
        compiled: CompiledNetwork,
        anchors: np.ndarray,
        strides: Sequence[int],
        settings: NmsSettings,
        watch: native.Stopwatch,
    ) -> None:
        super().__init__()
        self._parts = (compiled, anchors, strides, settings, watch)

    def build(self, images: flow.Tensor) -> tuple[flow.Tensor, flow.Tensor]:
        compiled, anchors, strides, settings, watch = self._parts
        shape = tuple(images.shape)
        head = detection_head(compiled.head_shapes(shape), anchors, strides, settings, watch)
        detector = native.DetectorProgram(compiled.program(shape), head)
        return call(detector, [images], _detections(shape[0], settings))


def run_network(compiled: CompiledNetwork, images: flow.Tensor) -> tuple[flow.Tensor, ...]:
    """Raw heads float32 [B, na * (5 + nc), h, w] a level, by the compiled program for this shape."""
    shape = tuple(images.shape)
    outputs = [(head, flow.float32) for head in compiled.head_shapes(shape)]
    return call(compiled.program(shape), [images], outputs)


def detected(
    heads: Sequence[flow.Tensor],
    anchors: np.ndarray,
    strides: Sequence[int],
    settings: NmsSettings,
    watch: native.Stopwatch,
) -> tuple[flow.Tensor, flow.Tensor]:
    """Decode and suppress raw heads."""
    operator = detection_head([tuple(head.shape) for head in heads], anchors, strides, settings, watch)
    return call(operator, heads, _detections(heads[0].shape[0], settings))


def suppressed(
    predictions: flow.Tensor, settings: NmsSettings, watch: native.Stopwatch
) -> tuple[flow.Tensor, flow.Tensor]:
    """Suppress decoded predictions [B, N, 5 + nc], on the CPU wherever they are."""
    operator = suppression(tuple(predictions.shape), settings, watch)
    return call(operator, [predictions.cpu()], _detections(predictions.shape[0], settings))


def _detections(batch: int, settings: NmsSettings) -> list:
    return [((batch, settings.max_det, 6), flow.float32), ((batch,), flow.int32)]
