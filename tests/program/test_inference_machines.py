"""Compiled inference on processors with less: the same tests, with oneDNN held to older instructions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = (
    "tests/program/test_inference.py",
    "tests/program/int8/test_kernels.py",
    "tests/graphs/test_compiled_graphs.py",
)


@pytest.mark.slow
@pytest.mark.parametrize("instructions", ["AVX2", "SSE41"])
def test_older_processors(instructions: str) -> None:
    argv = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *TESTS]
    argv += ["--deselect", "tests/program/test_inference.py::test_memory_does_not_grow"]
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions}
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout and "skipped" in done.stdout  # bfloat16 is skipped: the limit was heeded
