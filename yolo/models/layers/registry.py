"""From a layer spec to its OneFlow module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from oneflow import nn

from yolo.models.activation import Activation
from yolo.models.layers import conv, csp, pooling
from yolo.models.layers.basic import Conv2d, ConvTranspose2d, Style, batch_norm, build_activation
from yolo.models.layers.head import Detect
from yolo.models.layers.shape import Concat, Contract, Expand
from yolo.models.spec import LayerSpec

Args = Mapping[str, Any]


def build_layer(spec: LayerSpec, style: Style) -> nn.Module:
    """One layer as a module; several in an `nn.Sequential` where the spec repeats it."""
    copies = [_build_one(spec, style) for _ in range(spec.repeats)]
    return copies[0] if len(copies) == 1 else nn.Sequential(*copies)


def _build_one(spec: LayerSpec, style: Style) -> nn.Module:
    name, c1, c2 = spec.module.removeprefix("torch."), spec.in_channels[0], spec.out_channels
    for module in (conv, csp, pooling):
        if hasattr(module, name):
            return getattr(module, name)(c1, c2, **spec.args, style=style)
    return _plain_makers(spec, c1, c2)[name](spec.args)


def _plain_makers(spec: LayerSpec, c1: int, c2: int) -> Mapping[str, Callable[[Args], nn.Module]]:
    return {
        "Detect": lambda a: Detect(
            spec.in_channels, a["nc"], np.asarray(a["anchors"], np.float32).reshape(len(a["anchors"]), -1, 2)
        ),
        "Concat": lambda a: Concat(),
        "Contract": lambda a: Contract(a["gain"]),
        "Expand": lambda a: Expand(a["gain"]),
        "nn.Conv2d": lambda a: Conv2d(c1, c2, a["k"], a["s"], a["p"], a["d"], a["g"], a["bias"]),
        "nn.ConvTranspose2d": lambda a: ConvTranspose2d(c1, c2, a["k"], a["s"], a["p"], a["op"], a["g"], a["bias"]),
        "nn.BatchNorm2d": lambda a: batch_norm(c1),
        "nn.MaxPool2d": lambda a: nn.MaxPool2d(a["k"], a["s"], a["p"]),
        "nn.AvgPool2d": lambda a: nn.AvgPool2d(a["k"], a["s"], a["p"]),
        "nn.ZeroPad2d": lambda a: nn.ZeroPad2d(a["padding"]),
        "nn.Upsample": lambda a: nn.Upsample(scale_factor=float(a["scale"]), mode=a["mode"]),
        "nn.LeakyReLU": lambda a: build_activation(Activation("LeakyReLU", a["slope"])),
        **{
            f"nn.{plain}": lambda a, plain=plain: build_activation(Activation(plain))
            for plain in ("Identity", "SiLU", "ReLU", "Hardswish")
        },
    }
