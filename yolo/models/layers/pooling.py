"""Spatial pyramid pooling."""

from __future__ import annotations

import oneflow as flow
from oneflow import nn

from yolo.models.layers.basic import Style, concat
from yolo.models.layers.conv import Conv


class SPP(nn.Module):
    """Max pools of several odd sides side by side (He et al., 2014), between two 1×1 `Conv`."""

    def __init__(self, c1: int, c2: int, k: tuple[int, ...] = (5, 9, 13), *, style: Style) -> None:
        super().__init__()
        hidden = c1 // 2
        self.cv1 = Conv(c1, hidden, 1, 1, style=style)
        self.cv2 = Conv(hidden * (len(k) + 1), c2, 1, 1, style=style)
        self.m = nn.ModuleList([nn.MaxPool2d(side, 1, side // 2) for side in k])

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """`[B, c1, h, w]` -> `[B, c2, h, w]`."""
        x = self.cv1(x)
        return self.cv2(concat([x, *(pool(x) for pool in self.m)]))


class SPPF(nn.Module):
    """`SPP` with sides k, 2k − 1, 3k − 2, as one small pool chained three times."""

    def __init__(self, c1: int, c2: int, k: int = 5, *, style: Style) -> None:
        super().__init__()
        hidden = c1 // 2
        self.cv1 = Conv(c1, hidden, 1, 1, style=style)
        self.cv2 = Conv(hidden * 4, c2, 1, 1, style=style)
        self.m = nn.MaxPool2d(k, 1, k // 2)

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """`[B, c1, h, w]` -> `[B, c2, h, w]`."""
        x = self.cv1(x)
        once = self.m(x)
        twice = self.m(once)
        return self.cv2(concat([x, once, twice, self.m(twice)]))
