"""The module of what runs on a CUDA device, built for the host's processor (csrc/cuda/host)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from yolo import cuda

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def as_gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The host's module in place of ``yolo._cuda``: this machine has two GPUs, "cuda:0" and "cuda:1"."""
    host = cuda_host()
    monkeypatch.setattr(cuda, "module", lambda: host)
    return host


def cuda_host() -> ModuleType:
    """The newest build of ``_cuda_host``; skips the test where there is none."""
    built = sorted(ROOT.glob("build/*/cuda_host/_cuda_host*.so"), key=lambda path: path.stat().st_mtime)
    if not built:
        pytest.skip("the module for tests of CUDA is not built: make cuda-host")
    spec = importlib.util.spec_from_file_location("_cuda_host", built[-1])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
