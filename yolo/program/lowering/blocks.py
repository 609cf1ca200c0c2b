"""Blocks: bottlenecks, cross-stage partial networks and pyramid pooling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from yolo.models.activation import IDENTITY, Activation
from yolo.program import ir
from yolo.program.builder import Scope
from yolo.program.lowering.convolutions import conv, cross_conv, dw_conv, ghost_conv

Lowering = Callable[[Scope, int, int, Mapping[str, Any]], int]
"""Adds the nodes of one layer: its place, the value it reads, its output channels, its arguments; gives its value."""


def ghost_bottleneck(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    half, k, stride = out // 2, a.get("k", 3), a.get("s", 1)
    y = ghost_conv(s / "conv" / 0, x, half, {})
    if stride == 2:
        y = dw_conv(s / "conv" / 1, y, half, {"k": k, "s": stride, "act": IDENTITY})
    y = ghost_conv(s / "conv" / 2, y, out, {"act": IDENTITY})
    if stride == 2:
        x = dw_conv(s / "shortcut" / 0, x, s.channels(x), {"k": k, "s": stride, "act": IDENTITY})
        x = conv(s / "shortcut" / 1, x, out, {"act": IDENTITY})
    return s.add(ir.Add, x, y)


def bottleneck(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    y = conv(s / "cv1", x, int(out * a.get("e", 0.5)), {})
    y = conv(s / "cv2", y, out, {"k": 3, "g": a.get("g", 1)})
    return s.add(ir.Add, x, y) if a.get("shortcut", True) and s.channels(x) == out else y


def row(inner: Lowering) -> Lowering:
    """``n`` copies of a layer one after the other, each hidden channels wide."""

    def lowered(s: Scope, x: int, hidden: int, a: Mapping[str, Any]) -> int:
        for number in range(a.get("n", 1)):
            x = inner(s / number, x, hidden, a)
        return x

    return lowered


def plain_bottleneck(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    return bottleneck(s, x, out, {"shortcut": a.get("shortcut", True), "g": a.get("g", 1), "e": 1.0})


def plain_cross(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    return cross_conv(s, x, out, {"k": 3, "g": a.get("g", 1), "shortcut": a.get("shortcut", True)})


def plain_ghost(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    return ghost_bottleneck(s, x, out, {})


def c3(middle: Lowering) -> Lowering:
    def lowered(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
        hidden = int(out * a.get("e", 0.5))
        inner = middle(s / "m", conv(s / "cv1", x, hidden, {}), hidden, a)
        side = conv(s / "cv2", x, hidden, {})
        return conv(s / "cv3", s.add(ir.Concat, inner, side), out, {})

    return lowered


def csp(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    hidden = int(out * a.get("e", 0.5))
    inner = row(plain_bottleneck)(s / "m", conv(s / "cv1", x, hidden, {}), hidden, a)
    inner = (s / "cv3").bare_conv(inner, hidden)
    side = (s / "cv2").bare_conv(x, hidden)
    joined = s.norm_act(s.add(ir.Concat, inner, side), a.get("act") or Activation())
    return conv(s / "cv4", joined, out, {})


def spp(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    x = conv(s / "cv1", x, s.channels(x) // 2, {})
    pooled = [s.add(ir.Pool, x, kernel=k, stride=1, padding=k // 2) for k in a.get("k", (5, 9, 13))]
    return conv(s / "cv2", s.add(ir.Concat, x, *pooled), out, {})


def sppf(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    x, k = conv(s / "cv1", x, s.channels(x) // 2, {}), a.get("k", 5)
    parts = [x]
    for _ in range(3):
        parts.append(s.add(ir.Pool, parts[-1], kernel=k, stride=1, padding=k // 2))
    return conv(s / "cv2", s.add(ir.Concat, *parts), out, {})
