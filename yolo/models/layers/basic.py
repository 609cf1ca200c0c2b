"""What every layer is made of: style, padding, activations, and OneFlow layers without their own random start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import oneflow as flow
from oneflow import nn

from yolo.models.activation import Activation
from yolo.models.layers.normalisation import BatchNorm2d

BN_EPS: Final = 1e-3
BN_MOMENTUM: Final = 0.03

Pair = int | tuple[int, int]


@dataclass(frozen=True)
class Style:
    """What all convolutions of one network share."""

    activation: Activation
    fused: bool = False
    """Batch norm already folded into the convolution, which then has a bias."""


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` whose weights are left to `yolo.models.init`, so that a seed decides them all."""

    def reset_parameters(self) -> None:
        pass


class ConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` whose weights are left to `yolo.models.init`."""

    def reset_parameters(self) -> None:
        pass


class Linear(nn.Linear):
    """`nn.Linear` whose weights are left to `yolo.models.init`."""

    def reset_parameters(self) -> None:
        pass


def batch_norm(channels: int) -> BatchNorm2d:
    """Batch norm with YOLOv5's constants."""
    return BatchNorm2d(channels, eps=BN_EPS, momentum=BN_MOMENTUM)


def same_padding(kernel: Pair, padding: Pair | None = None, dilation: Pair = 1) -> tuple[int, int]:
    """The padding that keeps the size at stride 1: half the dilated kernel, unless one is given."""
    if padding is not None:
        return pair(padding)
    sides = zip(pair(kernel), pair(dilation))
    height, width = ((d * (k - 1) + 1) // 2 for k, d in sides)
    return height, width


def pair(value: Pair) -> tuple[int, int]:
    """`(height, width)` of a number or a pair."""
    return (value[0], value[1]) if isinstance(value, (tuple, list)) else (value, value)


def build_activation(activation: Activation) -> nn.Module:
    """The OneFlow module of an activation."""
    makers: Mapping[str, Callable[[], nn.Module]] = {
        "SiLU": nn.SiLU,
        "ReLU": nn.ReLU,
        "ReLU6": nn.ReLU6,
        "Hardswish": nn.Hardswish,
        "Mish": nn.Mish,
        "GELU": nn.GELU,
        "Sigmoid": nn.Sigmoid,
        "Tanh": nn.Tanh,
        "Identity": nn.Identity,
        "LeakyReLU": lambda: nn.LeakyReLU(activation.value),
        "ELU": lambda: nn.ELU(activation.value),
    }
    return makers[activation.name]()


def concat(tensors: list[flow.Tensor]) -> flow.Tensor:
    """Join feature maps `[B, C, h, w]` along the channels."""
    return flow.cat(tensors, dim=1)
