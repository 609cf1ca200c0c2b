"""Pictures in, raw heads out."""

from __future__ import annotations

import oneflow as flow

from graphs.base import StaticGraph, called, to_unit_range


class HeadsGraph(StaticGraph):
    """images uint8 [B, 3, H, W] -> raw heads float32 [B, na * (5 + nc), h, w] a level, as compiled programs give them.

    The network runs as plain OneFlow modules.
    """

    def __init__(self, network: flow.nn.Module) -> None:
        super().__init__()
        self.network = network

    def build(self, images: flow.Tensor) -> list[flow.Tensor]:
        return [_channels_first(head) for head in called(self.network)(to_unit_range(images))]


def _channels_first(head: flow.Tensor) -> flow.Tensor:
    """[B, na, h, w, 5 + nc] -> [B, na * (5 + nc), h, w]."""
    batch, anchors, height, width, columns = head.shape
    return head.permute(0, 1, 4, 2, 3).reshape(batch, anchors * columns, height, width)
