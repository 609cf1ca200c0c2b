"""The numbers of cuDNN's interface in csrc/cuda/gpu/cudnn.h are those of cuDNN's own header."""

from __future__ import annotations

import os
import re
import sysconfig
from pathlib import Path

import pytest

from tests.cuda.programs import GPU

NUMBER = re.compile(r"^\s*(CUDNN_[A-Za-z0-9_]+)(?:\s+CUDNN_DEPRECATED_ENUM)?\s*=\s*(-?\d+)", re.MULTILINE)


def numbers(text: str) -> dict[str, int]:
    one_a_line = re.sub(r"[{,](?=[^{,]*\bCUDNN_\w+ *=)", "\n", text)
    return {name: int(value) for name, value in NUMBER.findall(one_a_line)}


def test_they_are_cudnn_s_own():
    library = os.environ.get("YOLO_CUDNN") or Path(sysconfig.get_path("purelib"), "nvidia", "cudnn", "lib")
    header = Path(library).parent / "include" / "cudnn_graph.h"
    if not header.exists():
        pytest.skip("needs cuDNN's header: pip install nvidia-cudnn-cu13, or YOLO_CUDNN=FOLDER")
    ours, theirs = numbers((GPU / "cudnn.h").read_text()), numbers(header.read_text())
    assert len(ours) >= 90
    assert ours == {name: theirs.get(name) for name in ours}
