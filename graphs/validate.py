"""Pictures and labels in, decoded predictions and loss sums out."""

from __future__ import annotations

import oneflow as flow

from graphs.base import StaticGraph, to_unit_range
from yolo.loss import LossSettings, loss_terms
from yolo.models.decode import decode


class ValGraph(StaticGraph):
    """images, labels, counts as in TrainGraph -> (float32 [B, N, 5+nc] predictions, float32 [levels, 5] loss sums)."""

    def __init__(self, network: flow.nn.Module, settings: LossSettings) -> None:
        super().__init__()
        self.network = network
        self._parts = (settings, network.anchors, network.strides)

    def build(self, images: flow.Tensor, labels: flow.Tensor, counts: flow.Tensor) -> tuple[flow.Tensor, flow.Tensor]:
        settings, anchors, strides = self._parts
        heads = self.network(to_unit_range(images))
        terms = loss_terms(heads, labels, counts, anchors, strides, settings)
        return decode(heads, anchors, strides), terms
