"""Layers without parameters: pools, upsampling, activations and moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yolo.models.activation import Activation
from yolo.program import ir
from yolo.program.builder import Scope
from yolo.program.lowering.blocks import Lowering


def pool(average: bool) -> Lowering:
    def lowered(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
        stride = a["k"] if a["s"] is None else a["s"]
        return s.add(ir.Pool, x, kernel=a["k"], stride=stride, padding=a["p"], average=average)

    return lowered


def upsample(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    kind = {"nearest": ir.Upsample, "bilinear": ir.Bilinear}[a["mode"]]
    return s.add(kind, x, scale=a["scale"])


def activation(name: str) -> Lowering:
    return lambda s, x, out, a: s.act(x, Activation(name, a.get("slope")))


def batch_norm(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    return s.add(ir.BatchNorm, x, weights=s.path)


def zero_pad(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    return s.add(ir.Pad, x, sides=a["padding"])


def identity(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    return x


def contract(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    return s.add(ir.SpaceToDepth, x, gain=a["gain"], column_major=False)


def expand(s: Scope, x: int, out: int, a: Mapping[str, Any]) -> int:
    return s.add(ir.DepthToSpace, x, gain=a["gain"])
