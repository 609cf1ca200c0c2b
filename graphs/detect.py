"""Pictures in, detections out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import oneflow as flow

from graphs.base import StaticGraph, to_unit_range
from yolo import _program as native
from yolo.models.decode import decode
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
        predictions = decode(self.network(to_unit_range(images)), anchors, strides)
        return suppressed(predictions, settings, watch)


class CompiledDetectGraph(StaticGraph):
    """The same with the network as one compiled program, and decoding and suppression as another operator."""

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
        heads = run_network(compiled, images)
        return detected(heads, anchors, strides, settings, watch)


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
    """Suppress decoded predictions [B, N, 5 + nc]."""
    operator = suppression(tuple(predictions.shape), settings, watch)
    return call(operator, [predictions], _detections(predictions.shape[0], settings))


def _detections(batch: int, settings: NmsSettings) -> list:
    return [((batch, settings.max_det, 6), flow.float32), ((batch,), flow.int32)]
