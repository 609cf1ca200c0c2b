"""What ``make stress`` builds still compiles: nothing else does build it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    [*(ROOT / "csrc" / "stress").glob("*.cpp"), *(ROOT / "csrc" / "cuda" / "host" / "races").glob("*.cpp")]
)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_it_compiles(source: Path) -> None:
    compiler = os.environ.get("CXX") or shutil.which("g++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    includes = [f"-I{ROOT / 'csrc'}", f"-I{Path(sys.prefix) / 'include'}"]
    done = subprocess.run(
        [
            compiler,
            "-std=c++17",
            "-fsyntax-only",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-DYOLO_REAL_THREADS",
            *includes,
            source,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
