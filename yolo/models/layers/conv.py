"""Convolution blocks: convolution, batch norm, activation, in several shapes."""

from __future__ import annotations

import math

import oneflow as flow
from oneflow import nn

from yolo.models.activation import IDENTITY, Activation
from yolo.models.layers.basic import (
    Conv2d,
    ConvTranspose2d,
    Pair,
    Style,
    batch_norm,
    build_activation,
    concat,
    pair,
    same_padding,
)


class Conv(nn.Module):
    """Convolution without bias, batch norm, activation; with a bias and no batch norm once fused."""

    def __init__(
        self,
        c1: int,
        c2: int,
        k: Pair = 1,
        s: Pair = 1,
        p: Pair | None = None,
        g: int = 1,
        d: Pair = 1,
        act: Activation | None = None,
        *,
        style: Style,
    ) -> None:
        super().__init__()
        self.conv = Conv2d(c1, c2, pair(k), pair(s), same_padding(k, p, d), pair(d), groups=g, bias=style.fused)
        self.bn = None if style.fused else batch_norm(c2)
        self.act = build_activation(act or style.activation)

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """`[B, c1, h, w]` -> `[B, c2, h/s, w/s]`."""
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        return self.act(x)


class DWConv(Conv):
    """`Conv` with as many groups as both channel counts allow."""

    def __init__(
        self,
        c1: int,
        c2: int,
        k: Pair = 1,
        s: Pair = 1,
        d: Pair = 1,
        act: Activation | None = None,
        *,
        style: Style,
    ) -> None:
        super().__init__(c1, c2, k, s, None, math.gcd(c1, c2), d, act, style=style)


class DWConvTranspose2d(ConvTranspose2d):
    """Transposed convolution with as many groups as both channel counts allow."""

    def __init__(self, c1: int, c2: int, k: int = 1, s: int = 1, p: int = 0, op: int = 0, *, style: Style) -> None:
        super().__init__(c1, c2, k, s, p, op, groups=math.gcd(c1, c2))


class Focus(nn.Module):
    """Space to depth by 2, then `Conv`: the stem of YOLOv5 up to v5."""

    def __init__(
        self,
        c1: int,
        c2: int,
        k: Pair = 1,
        s: Pair = 1,
        p: Pair | None = None,
        g: int = 1,
        act: Activation | None = None,
        *,
        style: Style,
    ) -> None:
        super().__init__()
        self.conv = Conv(4 * c1, c2, k, s, p, g, act=act, style=style)

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """`[B, c1, h, w]` -> `[B, c2, h/2/s, w/2/s]`."""
        quarters = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.conv(concat(quarters))


class GhostConv(nn.Module):
    """Half of the channels by `Conv`, the other half by a cheap 5×5 depthwise one on them (GhostNet)."""

    def __init__(
        self,
        c1: int,
        c2: int,
        k: Pair = 1,
        s: Pair = 1,
        g: int = 1,
        act: Activation | None = None,
        *,
        style: Style,
    ) -> None:
        super().__init__()
        half = c2 // 2
        self.cv1 = Conv(c1, half, k, s, None, g, act=act, style=style)
        self.cv2 = Conv(half, half, 5, 1, None, half, act=act, style=style)

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """`[B, c1, h, w]` -> `[B, c2, h/s, w/s]`."""
        y = self.cv1(x)
        return concat([y, self.cv2(y)])


class CrossConv(nn.Module):
    """A 1×k and a k×1 `Conv` in a row, with a residual where asked and possible."""

    def __init__(
        self,
        c1: int,
        c2: int,
        k: int = 3,
        s: int = 1,
        g: int = 1,
        e: float = 1.0,
        shortcut: bool = False,
        *,
        style: Style,
    ) -> None:
        super().__init__()
        hidden = int(c2 * e)
        self.cv1 = Conv(c1, hidden, (1, k), (1, s), style=style)
        self.cv2 = Conv(hidden, c2, (k, 1), (s, 1), g=g, style=style)
        self.add = shortcut and c1 == c2 and s == 1

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """`[B, c1, h, w]` -> `[B, c2, h/s, w/s]`."""
        y = self.cv2(self.cv1(x))
        return x + y if self.add else y


class GhostBottleneck(nn.Module):
    """GhostNet's bottleneck: `GhostConv` to half, a depthwise stride where 2, `GhostConv` back, residual."""

    def __init__(self, c1: int, c2: int, k: int = 3, s: int = 1, *, style: Style) -> None:
        super().__init__()
        half, plain = c2 // 2, IDENTITY
        self.conv = nn.Sequential(
            GhostConv(c1, half, 1, 1, style=style),
            DWConv(half, half, k, s, act=plain, style=style) if s == 2 else nn.Identity(),
            GhostConv(half, c2, 1, 1, act=plain, style=style),
        )
        self.shortcut = (
            nn.Sequential(DWConv(c1, c1, k, s, act=plain, style=style), Conv(c1, c2, 1, 1, act=plain, style=style))
            if s == 2
            else nn.Identity()
        )

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """`[B, c1, h, w]` -> `[B, c2, h/s, w/s]`."""
        return self.conv(x) + self.shortcut(x)
