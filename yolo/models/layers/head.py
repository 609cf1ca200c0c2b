"""The detection head: one 1×1 convolution a level."""

from __future__ import annotations

import numpy as np
import oneflow as flow
from oneflow import nn

from yolo.models.layers.basic import Conv2d


class Detect(nn.Module):
    """Raw predictions of every level; the anchors lie with it as a buffer in cell units."""

    def __init__(self, channels: tuple[int, ...], nc: int, anchors: np.ndarray) -> None:
        """``anchors``: float32 `[nl, na, 2]`, width and height divided by the level's stride."""
        super().__init__()
        self.na, self.no = anchors.shape[1], nc + 5
        self.register_buffer("anchors", flow.tensor(anchors, dtype=flow.float32))
        self.m = nn.ModuleList([Conv2d(c, self.na * self.no, 1) for c in channels])

    def forward(self, x: list[flow.Tensor]) -> list[flow.Tensor]:
        """List of `[B, C_i, h, w]` -> list of `[B, na, h, w, 5 + nc]` before the sigmoid."""
        heads = []
        for features, conv in zip(x, self.m):
            y = conv(features)
            b, _, h, w = y.shape
            heads.append(y.reshape(b, self.na, self.no, h, w).permute(0, 1, 3, 4, 2).contiguous())
        return heads
