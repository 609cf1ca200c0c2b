"""The numbers of cuDNN's interface in csrc/cuda/gpu/cudnn.h are those of cuDNN's own header."""

from __future__ import annotations

import re

from tests.cuda import programs

NUMBER = re.compile(r"\b(CUDNN_\w+)(?: +CUDNN_DEPRECATED_ENUM)? *= *(-?\d+)\b")


def numbers(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in NUMBER.findall(text)}


def test_they_are_cudnn_s_own():
    header = programs.cudnn().parent / "include" / "cudnn_graph.h"
    ours, theirs = numbers((programs.GPU / "cudnn.h").read_text()), numbers(header.read_text())
    assert len(ours) >= 90
    assert ours == {name: theirs.get(name) for name in ours}
