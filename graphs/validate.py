"""Images and labels in, detections and loss sums out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import oneflow as flow

from graphs.base import StaticGraph, called, to_unit_range
from graphs.detect import detected, detections, run_network, suppressed
from yolo import native
from yolo.loss.reference import loss_terms
from yolo.loss.settings import LossSettings
from yolo.models.decode import decode
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings, detection_loss
from yolo.program.operator import call

Outputs = tuple[flow.Tensor, flow.Tensor, flow.Tensor]


class ValGraph(StaticGraph):
    """images, labels, counts as in TrainGraph -> detections and their counts as in DetectGraph, loss sums.

    The loss sums are [levels, 5] (``yolo.loss.reference.loss_terms``). The network runs as plain OneFlow modules; this
    is what ``CompiledValGraph`` must equal.
    """

    def __init__(self, network: flow.nn.Module, loss: LossSettings, settings: NmsSettings) -> None:
        super().__init__()
        self.network = network
        self._parts = (loss, network.anchors, network.strides, settings)

    def build(self, images: flow.Tensor, labels: flow.Tensor, counts: flow.Tensor) -> Outputs:
        loss, anchors, strides, settings = self._parts
        heads = called(self.network)(to_unit_range(images))
        terms = loss_terms(heads, labels, counts, anchors, strides, loss)
        self._operator, found = suppressed(decode(heads, anchors, strides), settings)
        return *found, terms


class CompiledValGraph(StaticGraph):
    """The same with the network as one compiled program, and the loss as one operator."""

    def __init__(
        self,
        compiled: CompiledNetwork,
        anchors: np.ndarray,
        strides: Sequence[int],
        loss: LossSettings,
        settings: NmsSettings,
    ) -> None:
        super().__init__()
        self._parts = (compiled, anchors, strides, loss, settings)

    def build(self, images: flow.Tensor, labels: flow.Tensor, counts: flow.Tensor) -> Outputs:
        compiled, anchors, strides, loss, settings = self._parts
        heads = run_network(compiled, images)
        operator = native.LossTerms(
            detection_loss([tuple(head.shape) for head in heads], anchors, strides, loss), *labels.shape[:2]
        )
        (terms,) = call(operator, [*heads, labels, counts], [((len(heads), 5), flow.float64)])
        self._operator, found = detected(heads, anchors, strides, settings)
        return *found, terms


class DeviceValGraph(CompiledValGraph):
    """The same as one operator on a CUDA device: the network, the loss's sums, decoding and suppression."""

    def build(self, images: flow.Tensor, labels: flow.Tensor, counts: flow.Tensor) -> Outputs:
        compiled, anchors, strides, loss, settings = self._parts
        shape, places = tuple(images.shape), labels.shape[1]
        levels = compiled.graph.head_shapes(shape)
        program = compiled.program(shape)
        self._operator = compiled.backend.validator(program, levels, (anchors, strides), settings, loss, places)
        outputs = [*detections(shape[0], settings), ((len(levels), 5), flow.float64)]
        return call(self._operator, [images, labels, counts], outputs)

    @property
    def computed(self) -> float:
        """Seconds that decoding and suppression took in the last run."""
        return 0.0 if self._operator is None else self._operator.nms_seconds
