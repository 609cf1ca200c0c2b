"""Pictures in, decoded predictions out."""

from __future__ import annotations

import oneflow as flow

from graphs.base import StaticGraph, to_unit_range
from yolo.models.decode import decode


class DetectGraph(StaticGraph):
    """images uint8 [B, 3, H, W] -> float32 [B, N, 5+nc]: x, y, w, h in pixels, objectness, class scores."""

    def __init__(self, network: flow.nn.Module) -> None:
        super().__init__()
        self.network = network
        self._parts = (network.anchors, network.strides)

    def build(self, images: flow.Tensor) -> flow.Tensor:
        return decode(self.network(to_unit_range(images)), *self._parts)
