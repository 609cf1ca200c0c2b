"""Layers that move values and compute none."""

from __future__ import annotations

import oneflow as flow
from oneflow import nn

from yolo.models.layers.basic import concat


class Concat(nn.Module):
    """Join feature maps along the channels."""

    def forward(self, x: list[flow.Tensor]) -> flow.Tensor:
        """List of `[B, C_i, h, w]` -> `[B, sum C_i, h, w]`."""
        return concat(list(x))


class Contract(nn.Module):
    """Space to depth: cells of gain × gain become channels."""

    def __init__(self, gain: int = 2) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """`[B, C, h, w]` -> `[B, C·gain², h/gain, w/gain]`."""
        (b, c, h, w), s = x.shape, self.gain
        cells = x.reshape(b, c, h // s, s, w // s, s).permute(0, 3, 5, 1, 2, 4)
        return cells.reshape(b, c * s * s, h // s, w // s)


class Expand(nn.Module):
    """Depth to space: channels become cells of gain × gain."""

    def __init__(self, gain: int = 2) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """`[B, C, h, w]` -> `[B, C/gain², h·gain, w·gain]`."""
        (b, c, h, w), s = x.shape, self.gain
        cells = x.reshape(b, s, s, c // s**2, h, w).permute(0, 3, 4, 1, 5, 2)
        return cells.reshape(b, c // s**2, h * s, w * s)
