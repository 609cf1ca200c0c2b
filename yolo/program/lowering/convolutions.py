"""Convolutions and what is made of two or three of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from yolo.program import ir
from yolo.program.builder import Scope, pair


def conv(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    """Convolution, batch norm, activation: the arguments of ``layers.conv.Conv``.

    In weights that were fused before they were saved the convolution has a bias and there is no batch norm.
    """
    fused = f"{s.path}.conv.bias" in s.tensors
    kernel, dilation = pair(a.get("k", 1)), pair(a.get("d", 1))
    given = a.get("p")
    padding = tuple((d * (k - 1) + 1) // 2 for k, d in zip(kernel, dilation)) if given is None else pair(given)
    others = {"padding": padding, "dilation": dilation, "groups": a.get("g", 1), "bias": fused}
    x = (s / "conv").bare_conv(x, out, kernel, a.get("s", 1), **others)
    activation = a.get("act") or s.activation
    return s.act(x, activation) if fused else s.norm_act(x, activation)


def dw_conv(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    return conv(s, x, out, {**a, "g": math.gcd(s.channels(x), out)})


def focus(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    quarters = s.add(ir.SpaceToDepth, x, gain=2, column_major=True)
    return conv(s / "conv", quarters, out, a)


def ghost_conv(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    half = out // 2
    y = conv(s / "cv1", x, half, a)
    z = conv(s / "cv2", y, half, {"k": 5, "g": half, "act": a.get("act")})
    return s.add(ir.Concat, y, z)


def cross_conv(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    k, stride, hidden = a.get("k", 3), a.get("s", 1), int(out * a.get("e", 1.0))
    y = conv(s / "cv1", x, hidden, {"k": (1, k), "s": (1, stride)})
    y = conv(s / "cv2", y, out, {"k": (k, 1), "s": (stride, 1), "g": a.get("g", 1)})
    return s.add(ir.Add, x, y) if a.get("shortcut") and s.channels(x) == out and stride == 1 else y


def plain_conv(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    others = {"padding": pair(a["p"]), "dilation": pair(a["d"]), "groups": a["g"], "bias": a["bias"]}
    return s.bare_conv(x, out, a["k"], a["s"], **others)


def transposed(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    groups = a["g"] if "g" in a else math.gcd(s.channels(x), out)
    others = {"padding": pair(a["p"]), "output_padding": a["op"], "groups": groups, "bias": a.get("bias", True)}
    return s.bare_conv(x, out, a["k"], a["s"], transposed=True, **others)
