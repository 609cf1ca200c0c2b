"""Bottlenecks and the cross-stage-partial blocks made of them."""

from __future__ import annotations

import oneflow as flow
from oneflow import nn

from yolo.models.activation import Activation
from yolo.models.layers.basic import Conv2d, Style, batch_norm, build_activation, concat
from yolo.models.layers.conv import Conv, CrossConv, GhostBottleneck
from yolo.models.layers.pooling import SPP
from yolo.models.layers.transformer import TransformerBlock

_HEADS = 4


class Bottleneck(nn.Module):
    """1×1 `Conv` to the hidden width, 3×3 `Conv`, residual where asked and possible."""

    def __init__(self, c1: int, c2: int, shortcut: bool = True, g: int = 1, e: float = 0.5, *, style: Style) -> None:
        super().__init__()
        hidden = int(c2 * e)
        self.cv1 = Conv(c1, hidden, 1, 1, style=style)
        self.cv2 = Conv(hidden, c2, 3, 1, g=g, style=style)
        self.add = shortcut and c1 == c2

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """`[B, c1, h, w]` -> `[B, c2, h, w]`."""
        y = self.cv2(self.cv1(x))
        return x + y if self.add else y


class BottleneckCSP(nn.Module):
    """The CSP block of YOLOv5 before v4: bare 1×1 convolutions and one batch norm over the joined branches.

    ``act``: the activation behind that norm, SiLU unless given, whatever the network's is.
    """

    def __init__(
        self,
        c1: int,
        c2: int,
        n: int = 1,
        shortcut: bool = True,
        g: int = 1,
        e: float = 0.5,
        act: Activation | None = None,
        *,
        style: Style,
    ) -> None:
        super().__init__()
        hidden = int(c2 * e)
        self.cv1 = Conv(c1, hidden, 1, 1, style=style)
        self.cv2 = Conv2d(c1, hidden, 1, 1, bias=False)
        self.cv3 = Conv2d(hidden, hidden, 1, 1, bias=False)
        self.cv4 = Conv(2 * hidden, c2, 1, 1, style=style)
        self.bn = batch_norm(2 * hidden)  # stands after a concat, so it cannot be folded away
        self.act = build_activation(act or Activation())
        self.m = nn.Sequential(*(Bottleneck(hidden, hidden, shortcut, g, 1.0, style=style) for _ in range(n)))

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """`[B, c1, h, w]` -> `[B, c2, h, w]`."""
        branches = [self.cv3(self.m(self.cv1(x))), self.cv2(x)]
        return self.cv4(self.act(self.bn(concat(branches))))


class C3(nn.Module):
    """CSP block with three `Conv`: n bottlenecks on one half-width branch, joined with the other."""

    def __init__(
        self,
        c1: int,
        c2: int,
        n: int = 1,
        shortcut: bool = True,
        g: int = 1,
        e: float = 0.5,
        *,
        style: Style,
    ) -> None:
        super().__init__()
        hidden = int(c2 * e)
        self.cv1 = Conv(c1, hidden, 1, 1, style=style)
        self.cv2 = Conv(c1, hidden, 1, 1, style=style)
        self.cv3 = Conv(2 * hidden, c2, 1, style=style)
        self.m = self._inner(hidden, n, shortcut, g, style)

    def _inner(self, hidden: int, n: int, shortcut: bool, g: int, style: Style) -> nn.Module:
        """The middle of the first branch, `hidden` channels in and out."""
        return nn.Sequential(*(Bottleneck(hidden, hidden, shortcut, g, 1.0, style=style) for _ in range(n)))

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """`[B, c1, h, w]` -> `[B, c2, h, w]`."""
        return self.cv3(concat([self.m(self.cv1(x)), self.cv2(x)]))


class C3x(C3):
    """`C3` with `CrossConv` in the middle."""

    def _inner(self, hidden: int, n: int, shortcut: bool, g: int, style: Style) -> nn.Module:
        crosses = (CrossConv(hidden, hidden, 3, 1, g, 1.0, shortcut, style=style) for _ in range(n))
        return nn.Sequential(*crosses)


class C3TR(C3):
    """`C3` with a transformer of n layers in the middle."""

    def _inner(self, hidden: int, n: int, shortcut: bool, g: int, style: Style) -> nn.Module:
        return TransformerBlock(hidden, hidden, _HEADS, n, style=style)


class C3Ghost(C3):
    """`C3` with `GhostBottleneck` in the middle."""

    def _inner(self, hidden: int, n: int, shortcut: bool, g: int, style: Style) -> nn.Module:
        return nn.Sequential(*(GhostBottleneck(hidden, hidden, style=style) for _ in range(n)))


class C3SPP(C3):
    """`C3` with `SPP` in the middle."""

    def __init__(
        self,
        c1: int,
        c2: int,
        k: tuple[int, ...] = (5, 9, 13),
        n: int = 1,
        shortcut: bool = True,
        g: int = 1,
        e: float = 0.5,
        *,
        style: Style,
    ) -> None:
        super().__init__(c1, c2, n, shortcut, g, e, style=style)
        hidden = int(c2 * e)
        self.m = SPP(hidden, hidden, k, style=style)
