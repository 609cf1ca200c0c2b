"""From a network's layers to the intermediate representation; pure Python, no OneFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from yolo.models.activation import IDENTITY, Activation
from yolo.models.spec import INPUT as NETWORK_INPUT
from yolo.models.spec import LayerSpec, NetworkSpec
from yolo.program import ir
from yolo.program.ir import INPUT, Graph, GraphBuilder
from yolo.program.scope import Scope, pair

HEADS = 4
"""Of the attention in C3TR."""


class UnsupportedLayerError(Exception):
    """A layer that the compiler has no nodes for; the message names it."""


def lower(spec: NetworkSpec, tensors: Mapping[str, np.ndarray]) -> Graph:
    """The graph of a network: pictures in, one raw head ``[B, na * (5 + nc), h, w]`` a level out.

    ``tensors`` is the network's state. Raises UnsupportedLayerError for a layer without a lowering.
    """
    scope = Scope(GraphBuilder(spec.channels), spec.activation, tensors, f"model.{len(spec.layers) - 1}")
    kept: dict[int, int] = {NETWORK_INPUT: INPUT}
    for layer in spec.layers[:-1]:
        kept[layer.index] = _layer(scope, layer, [kept[source] for source in layer.sources])
    detect = spec.layers[-1]
    heads = []
    for number, source in enumerate(detect.sources):
        path = f"{scope.path}.m.{number}"
        heads.append(scope.bare_conv(kept[source], detect.out_channels, path, bias=True))
    return scope.builder.build(tuple(heads), {**tensors, **scope.made})


def _layer(scope: Scope, layer: LayerSpec, inputs: list[int]) -> int:
    name = layer.module.removeprefix("torch.")
    if name == "Concat":
        return inputs[0] if len(inputs) == 1 else scope.builder.add(ir.Concat, *inputs, where=f"model.{layer.index}")
    if name not in _LOWERINGS:
        raise UnsupportedLayerError(f"{layer.where}: {layer.module} runs as OneFlow operators")
    value = inputs[0]
    for number in range(layer.repeats):
        path = f"model.{layer.index}" + (f".{number}" if layer.repeats > 1 else "")
        value = _LOWERINGS[name](scope.at(path), value, layer.out_channels, dict(layer.args))
    return value


def _conv(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    """Convolution, batch norm, activation: the arguments of ``layers.conv.Conv``.

    In weights that were fused before they were saved the convolution has a bias and there is no batch norm.
    """
    fused = f"{s.path}.conv.bias" in s.tensors
    kernel, dilation = pair(a.get("k", 1)), pair(a.get("d", 1))
    given = a.get("p")
    padding = tuple((d * (k - 1) + 1) // 2 for k, d in zip(kernel, dilation)) if given is None else pair(given)
    x = s.bare_conv(
        x,
        out,
        f"{s.path}.conv",
        kernel,
        a.get("s", 1),
        padding=padding,
        dilation=dilation,
        groups=a.get("g", 1),
        bias=fused,
    )
    activation = a.get("act") or s.activation
    return s.act(x, activation) if fused else s.norm_act(x, activation)


def _dw_conv(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    return _conv(s, x, out, {**a, "g": math.gcd(s.channels(x), out)})


def _focus(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    quarters = s.add(ir.SpaceToDepth, x, gain=2, column_major=True)
    return _conv(s / "conv", quarters, out, a)


def _ghost_conv(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    half = out // 2
    y = _conv(s / "cv1", x, half, a)
    z = _conv(s / "cv2", y, half, {"k": 5, "g": half, "act": a.get("act")})
    return s.add(ir.Concat, y, z)


def _cross_conv(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    k, stride, hidden = a.get("k", 3), a.get("s", 1), int(out * a.get("e", 1.0))
    y = _conv(s / "cv1", x, hidden, {"k": (1, k), "s": (1, stride)})
    y = _conv(s / "cv2", y, out, {"k": (k, 1), "s": (stride, 1), "g": a.get("g", 1)})
    return s.add(ir.Add, x, y) if a.get("shortcut") and s.channels(x) == out and stride == 1 else y


def _ghost_bottleneck(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    half, k, stride = out // 2, a.get("k", 3), a.get("s", 1)
    y = _ghost_conv(s / "conv" / 0, x, half, {})
    if stride == 2:
        y = _dw_conv(s / "conv" / 1, y, half, {"k": k, "s": stride, "act": IDENTITY})
    y = _ghost_conv(s / "conv" / 2, y, out, {"act": IDENTITY})
    if stride == 2:
        x = _dw_conv(s / "shortcut" / 0, x, s.channels(x), {"k": k, "s": stride, "act": IDENTITY})
        x = _conv(s / "shortcut" / 1, x, out, {"act": IDENTITY})
    return s.add(ir.Add, x, y)


def _bottleneck(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    y = _conv(s / "cv1", x, int(out * a.get("e", 0.5)), {})
    y = _conv(s / "cv2", y, out, {"k": 3, "g": a.get("g", 1)})
    return s.add(ir.Add, x, y) if a.get("shortcut", True) and s.channels(x) == out else y


def _row(inner: Callable[[Scope, int, int, Mapping[str, Any]], int]) -> Callable:
    """``n`` copies of a layer one after the other, each hidden channels wide."""

    def lowered(s: Scope, x: int, hidden: int, a: Mapping[str, Any]) -> int:
        for number in range(a.get("n", 1)):
            x = inner(s / number, x, hidden, a)
        return x

    return lowered


def _plain_bottleneck(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    return _bottleneck(s, x, out, {"shortcut": a.get("shortcut", True), "g": a.get("g", 1), "e": 1.0})


def _plain_cross(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    return _cross_conv(s, x, out, {"k": 3, "g": a.get("g", 1), "shortcut": a.get("shortcut", True)})


def _plain_ghost(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    return _ghost_bottleneck(s, x, out, {})


def _c3(middle: Callable[[Scope, int, int, Mapping[str, Any]], int]) -> Callable:
    def lowered(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
        hidden = int(out * a.get("e", 0.5))
        inner = middle(s / "m", _conv(s / "cv1", x, hidden, {}), hidden, a)
        side = _conv(s / "cv2", x, hidden, {})
        return _conv(s / "cv3", s.add(ir.Concat, inner, side), out, {})

    return lowered


def _linear(s: Scope, x: int, *, bias: bool = False, source: str = "", part: int = 0) -> int:
    """A linear layer over channels is a 1x1 convolution; its weights get the shape of one under a name of their own.

    ``source`` and ``part`` name a third of a stacked projection (query, key, value) instead.
    """
    channels, name = s.channels(x), f"{s.path}#{part}"
    for kind, given in (("weight", f"{s.path}.{source}weight"), ("bias", f"{s.path}.{source}bias")):
        if given in s.tensors and (kind == "weight" or bias):
            rows = s.tensors[given][part * channels : (part + 1) * channels]
            s.made[f"{name}.{kind}"] = rows.reshape(*rows.shape, 1, 1) if kind == "weight" else rows
    return s.builder.add(ir.Conv, x, where=s.path, weights=name, out_channels=channels, kernel=(1, 1), bias=bias)


def _transformer(s: Scope, x: int, hidden: int, a: Mapping[str, Any]) -> int:
    """``layers.transformer.TransformerBlock`` of equal widths: feature maps instead of rows of cells."""
    x = s.add(ir.Add, x, _linear(s / "linear", x, bias=True))
    for number in range(a.get("n", 1)):
        layer = s / "tr" / number
        attention = layer / "ma"
        projected = [
            _linear(attention, _linear(layer / name, x), bias=True, source="in_proj_", part=part)
            for part, name in enumerate("qkv")
        ]
        mixed = attention.add(ir.Attention, *projected, heads=HEADS)
        x = layer.add(ir.Add, _linear(attention / "out_proj", mixed, bias=True), x)
        x = layer.add(ir.Add, _linear(layer / "fc2", _linear(layer / "fc1", x)), x)
    return x


def _csp(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    hidden = int(out * a.get("e", 0.5))
    inner = _row(_plain_bottleneck)(s / "m", _conv(s / "cv1", x, hidden, {}), hidden, a)
    inner = s.bare_conv(inner, hidden, f"{s.path}.cv3")
    side = s.bare_conv(x, hidden, f"{s.path}.cv2")
    joined = s.norm_act(s.add(ir.Concat, inner, side), Activation())
    return _conv(s / "cv4", joined, out, {})


def _spp(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    x = _conv(s / "cv1", x, s.channels(x) // 2, {})
    pooled = [s.add(ir.Pool, x, kernel=k, stride=1, padding=k // 2) for k in a.get("k", (5, 9, 13))]
    return _conv(s / "cv2", s.add(ir.Concat, x, *pooled), out, {})


def _sppf(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    x, k = _conv(s / "cv1", x, s.channels(x) // 2, {}), a.get("k", 5)
    parts = [x]
    for _ in range(3):
        parts.append(s.add(ir.Pool, parts[-1], kernel=k, stride=1, padding=k // 2))
    return _conv(s / "cv2", s.add(ir.Concat, *parts), out, {})


def _plain_conv(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    others = {"padding": pair(a["p"]), "dilation": pair(a["d"]), "groups": a["g"], "bias": a["bias"]}
    return s.bare_conv(x, out, s.path, a["k"], a["s"], **others)


def _transposed(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    groups = a["g"] if "g" in a else math.gcd(s.channels(x), out)
    others = {"padding": pair(a["p"]), "output_padding": a["op"], "groups": groups, "bias": a.get("bias", True)}
    return s.bare_conv(x, out, s.path, a["k"], a["s"], transposed=True, **others)


def _pool(average: bool) -> Callable:
    def lowered(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
        stride = a["k"] if a["s"] is None else a["s"]
        return s.add(ir.Pool, x, kernel=a["k"], stride=stride, padding=a["p"], average=average)

    return lowered


def _upsample(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    if a["mode"] != "nearest":
        raise UnsupportedLayerError(f"{s.path}: upsampling by {a['mode']} runs as OneFlow operators")
    return s.add(ir.Upsample, x, scale=a["scale"])


def _activation(name: str) -> Callable:
    return lambda s, x, out, a: s.act(x, Activation(name, a.get("slope")))


_LOWERINGS: Mapping[str, Callable[[Scope, int, int, Mapping[str, Any]], int]] = {
    "Conv": _conv,
    "DWConv": _dw_conv,
    "GhostConv": _ghost_conv,
    "Focus": _focus,
    "CrossConv": _cross_conv,
    "Bottleneck": _bottleneck,
    "GhostBottleneck": _ghost_bottleneck,
    "SPP": _spp,
    "SPPF": _sppf,
    "BottleneckCSP": _csp,
    "C3": _c3(_row(_plain_bottleneck)),
    "C3x": _c3(_row(_plain_cross)),
    "C3Ghost": _c3(_row(_plain_ghost)),
    "C3TR": _c3(_transformer),
    "C3SPP": _c3(_spp),
    "DWConvTranspose2d": _transposed,
    "nn.ConvTranspose2d": _transposed,
    "nn.Conv2d": _plain_conv,
    "nn.BatchNorm2d": lambda s, x, out, a: s.add(ir.BatchNorm, x, weights=s.path),
    "nn.MaxPool2d": _pool(False),
    "nn.AvgPool2d": _pool(True),
    "nn.ZeroPad2d": lambda s, x, out, a: s.add(ir.Pad, x, sides=a["padding"]),
    "nn.Upsample": _upsample,
    "nn.Identity": lambda s, x, out, a: x,
    "nn.SiLU": _activation("SiLU"),
    "nn.ReLU": _activation("ReLU"),
    "nn.Hardswish": _activation("Hardswish"),
    "nn.LeakyReLU": _activation("LeakyReLU"),
    "Contract": lambda s, x, out, a: s.add(ir.SpaceToDepth, x, gain=a["gain"], column_major=False),
    "Expand": lambda s, x, out, a: s.add(ir.DepthToSpace, x, gain=a["gain"]),
}
