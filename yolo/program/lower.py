"""From a network's layers to the intermediate representation; pure Python, no OneFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from yolo.models.spec import INPUT as NETWORK_INPUT
from yolo.models.spec import LayerSpec, NetworkSpec
from yolo.program import ir
from yolo.program.builder import GraphBuilder, Scope
from yolo.program.ir import INPUT, Graph
from yolo.program.lowering import blocks, convolutions, plain
from yolo.program.lowering.blocks import Lowering
from yolo.program.lowering.transformer import transformer


def lower(spec: NetworkSpec, tensors: Mapping[str, np.ndarray]) -> Graph:
    """The graph of a network: images in, one raw head ``[B, na * (5 + nc), h, w]`` a level out.

    ``tensors`` is the network's state; with none the graph has the names of its tensors only, as training wants it.
    """
    scope = Scope(GraphBuilder(spec.channels), spec.activation, tensors, f"model.{len(spec.layers) - 1}")
    kept: dict[int, int] = {NETWORK_INPUT: INPUT}
    for layer in spec.layers[:-1]:
        kept[layer.index] = _layer(scope, layer, [kept[source] for source in layer.sources])
    detect = spec.layers[-1]
    heads = []
    for number, source in enumerate(detect.sources):
        heads.append((scope / "m" / number).bare_conv(kept[source], detect.out_channels, bias=True))
    return scope.builder.build(tuple(heads), tensors)


def _layer(scope: Scope, layer: LayerSpec, inputs: list[int]) -> int:
    name = layer.module.removeprefix("torch.")
    if name == "Concat":
        return inputs[0] if len(inputs) == 1 else scope.builder.add(ir.Concat, *inputs, where=f"model.{layer.index}")
    value = inputs[0]
    for number in range(layer.repeats):
        path = f"model.{layer.index}" + (f".{number}" if layer.repeats > 1 else "")
        value = LOWERINGS[name](scope.at(path), value, layer.out_channels, dict(layer.args))
    return value


LOWERINGS: Final[Mapping[str, Lowering]] = {
    "Conv": convolutions.conv,
    "DWConv": convolutions.dw_conv,
    "GhostConv": convolutions.ghost_conv,
    "Focus": convolutions.focus,
    "CrossConv": convolutions.cross_conv,
    "DWConvTranspose2d": convolutions.transposed,
    "nn.ConvTranspose2d": convolutions.transposed,
    "nn.Conv2d": convolutions.plain_conv,
    "Bottleneck": blocks.bottleneck,
    "GhostBottleneck": blocks.ghost_bottleneck,
    "SPP": blocks.spp,
    "SPPF": blocks.sppf,
    "BottleneckCSP": blocks.csp,
    "C3": blocks.c3(blocks.row(blocks.plain_bottleneck)),
    "C3x": blocks.c3(blocks.row(blocks.plain_cross)),
    "C3Ghost": blocks.c3(blocks.row(blocks.plain_ghost)),
    "C3TR": blocks.c3(transformer),
    "C3SPP": blocks.c3(blocks.spp),
    "nn.BatchNorm2d": plain.batch_norm,
    "nn.MaxPool2d": plain.pool(average=False),
    "nn.AvgPool2d": plain.pool(average=True),
    "nn.ZeroPad2d": plain.zero_pad,
    "nn.Upsample": plain.upsample,
    "nn.Identity": plain.identity,
    "nn.SiLU": plain.activation("SiLU"),
    "nn.ReLU": plain.activation("ReLU"),
    "nn.Hardswish": plain.activation("Hardswish"),
    "nn.LeakyReLU": plain.activation("LeakyReLU"),
    "Contract": plain.contract,
    "Expand": plain.expand,
}
"""By the names of ``yolo.models.rules.RULES``, of which Detect and Concat are lowered with their several inputs."""
