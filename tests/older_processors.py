"""Processors older than this one, which oneDNN can be held to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from yolo import native

_SETS = (
    *("sse41", "avx", "avx2", "avx2_vnni", "avx512_core", "avx512_core_vnni", "avx512_core_bf16", "avx512_core_fp16"),
    *("avx512_core_amx", "avx512_core_amx_fp16"),
)
"""What `native.instruction_set` may say, in order."""


def older(*limits: str) -> list:
    """Parameters for values of ONEDNN_MAX_CPU_ISA; one that takes nothing from this processor is skipped by name."""
    here = native.instruction_set()
    beyond = {limit: _SETS.index(limit.lower()) >= _SETS.index(here) for limit in limits}
    reason = f"this processor has no more ({here})"
    return [pytest.param(limit, marks=pytest.mark.skipif(beyond[limit], reason=reason), id=limit) for limit in limits]


def held_to(limit: str, argv: list[str], *, seconds: float = 500) -> subprocess.CompletedProcess:
    """Run Python with these arguments, oneDNN held to this instruction set."""
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": limit}
    root = Path(__file__).parents[1]
    return subprocess.run(
        [sys.executable, *argv], env=environment, capture_output=True, text=True, timeout=seconds, cwd=root
    )
