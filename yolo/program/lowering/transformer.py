"""The transformer of C3TR: linear layers over channels, and attention over cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yolo.program import ir
from yolo.program.builder import Scope

HEADS = 4
"""Of the attention in C3TR."""


def _linear(s: Scope, x: int, *, bias: bool = False, source: str = "", part: int = 0) -> int:
    """A linear layer over channels is a 1x1 convolution; its weights get the shape of one under a name of their own.

    ``source`` and ``part`` name a third of a stacked projection (query, key, value) instead.
    """
    channels, name = s.channels(x), f"{s.path}#{part}"
    for kind in ("weight", "bias") if bias else ("weight",):
        given = f"{s.path}.{source}{kind}"
        s.builder.parts[f"{name}.{kind}"] = ir.Part(given, part)
        if given in s.tensors:
            rows = s.tensors[given][part * channels : (part + 1) * channels]
            s.builder.tensors[f"{name}.{kind}"] = rows.reshape(*rows.shape, 1, 1) if kind == "weight" else rows
    return s.add(ir.Conv, x, weights=name, out_channels=channels, kernel=(1, 1), bias=bias)


def transformer(s: Scope, x: int, hidden: int, a: Mapping[str, Any]) -> int:
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
