"""A transformer without layer norm, as YOLOv5's C3TR uses it (Dosovitskiy et al., 2020)."""

from __future__ import annotations

import math

import oneflow as flow
from oneflow import nn

from yolo.models.layers.basic import Linear, Style
from yolo.models.layers.conv import Conv


class MultiheadAttention(nn.Module):
    """Scaled dot-product attention with PyTorch's parameter names; OneFlow 0.9 has none of its own."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels do not divide into {heads} heads")
        self.heads = heads
        self.in_proj_weight = nn.Parameter(flow.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(flow.zeros(3 * channels))
        self.out_proj = Linear(channels, channels)

    def forward(self, q: flow.Tensor, k: flow.Tensor, v: flow.Tensor) -> flow.Tensor:
        """Three `[L, B, C]` -> `[L, B, C]`."""
        length, batch, channels = q.shape
        weights, biases = self.in_proj_weight.chunk(3, dim=0), self.in_proj_bias.chunk(3, dim=0)
        split = (length, batch * self.heads, channels // self.heads)
        q, k, v = (
            (flow.matmul(x, w.transpose(0, 1)) + b).reshape(*split).permute(1, 0, 2)
            for x, w, b in zip((q, k, v), weights, biases)
        )
        scores = flow.matmul(q / math.sqrt(split[2]), k.permute(0, 2, 1))
        mixed = flow.matmul(flow.softmax(scores, dim=-1), v)
        return self.out_proj(mixed.permute(1, 0, 2).reshape(length, batch, channels))


class TransformerLayer(nn.Module):
    """Attention and two linear layers, each with a residual."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.q = Linear(channels, channels, bias=False)
        self.k = Linear(channels, channels, bias=False)
        self.v = Linear(channels, channels, bias=False)
        self.ma = MultiheadAttention(channels, heads)
        self.fc1 = Linear(channels, channels, bias=False)
        self.fc2 = Linear(channels, channels, bias=False)

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """`[L, B, C]` -> `[L, B, C]`."""
        x = self.ma(self.q(x), self.k(x), self.v(x)) + x
        return self.fc2(self.fc1(x)) + x


class TransformerBlock(nn.Module):
    """A learned position (one linear layer of the input itself) and n transformer layers over the cells."""

    def __init__(self, c1: int, c2: int, heads: int, layers: int, *, style: Style) -> None:
        super().__init__()
        self.conv = Conv(c1, c2, style=style) if c1 != c2 else None
        self.linear = Linear(c2, c2)
        self.tr = nn.Sequential(*(TransformerLayer(c2, heads) for _ in range(layers)))

    def forward(self, x: flow.Tensor) -> flow.Tensor:
        """`[B, c1, h, w]` -> `[B, c2, h, w]`."""
        if self.conv is not None:
            x = self.conv(x)
        batch, channels, height, width = x.shape
        cells = x.reshape(batch, channels, height * width).permute(2, 0, 1)
        cells = self.tr(cells + self.linear(cells))
        return cells.permute(1, 2, 0).reshape(batch, channels, height, width)
