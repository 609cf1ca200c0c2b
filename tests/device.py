"""The module of what runs on a CUDA device, built for the host's processor (csrc/cuda/host).

With YOLO_TEST_CUDA=1 it is the GPU's (`make cuda-check`), and the same tests run there, but those of tests/cuda: they
compile kernels with g++.
"""

from __future__ import annotations

import functools
import os
from types import ModuleType

import pytest

from benchmarks.cuda_module import open_module
from yolo import cuda

ON_GPU = os.environ.get("YOLO_TEST_CUDA", "") == "1"


@pytest.fixture
def as_gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The host's module in place of ``yolo._cuda``: this machine has two GPUs, "cuda:0" and "cuda:1"."""
    host = cuda_host()
    monkeypatch.setattr(cuda, "module", lambda: host)
    return host


def cuda_host() -> ModuleType:
    """The newest build of ``_cuda_host``; skips the test where there is none. On a GPU ``yolo._cuda``, without TF32."""
    try:
        return _opened()
    except FileNotFoundError as error:
        pytest.skip(str(error))


@functools.cache
def _opened() -> ModuleType:
    return open_module("cuda", tf32=False) if ON_GPU else open_module("host")
