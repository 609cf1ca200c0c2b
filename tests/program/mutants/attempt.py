"""Runs ``tests.program.mutants.run`` in a process of its own, with the package's module or the one that is checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def attempted(kind: str, seed: int, count: int, module: Path | None = None, library: str = "") -> dict[str, int]:
    """How many of the mutants ran and were refused; a crash is told with its number."""
    command = [sys.executable, "-m", "tests.program.mutants.run", kind, str(seed), str(count)]
    command += [str(module)] if module else []
    checks = {"LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"} if library else {}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **checks}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    last = lines[-1] if lines else "none"
    assert done.returncode == 0, f"{kind}, seed {seed}, mutant {last}: {done.returncode}\n{done.stderr[-6000:]}"
    return json.loads(last)


def attempted_under_address_sanitizer(kind: str, seed: int, count: int) -> dict[str, int]:
    """The same with a build of the module that is checked."""
    module = max(ROOT.glob("build/*/checked/_native*.so"), key=lambda path: path.stat().st_mtime, default=None)
    if module is None:
        pytest.skip("make stress builds yolo._native under AddressSanitizer first")
    # The sanitizer looks for the library of C++ when it is loaded, which Python itself does not need.
    names = ("libasan.so", "libstdc++.so.6")
    libraries = [subprocess.check_output(["g++", f"-print-file-name={name}"], text=True).strip() for name in names]
    return attempted(kind, seed, count, module, " ".join(libraries))
