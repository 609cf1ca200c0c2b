"""The compiled module of CUDA devices that a benchmark runs on."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from benchmarks.places import ROOT, WORK

DEVICES = ("cuda", "host")
"""A GPU; or the host's processor, on which a benchmark can be tried, but whose times mean nothing."""


def open_module(device: str, *, tf32: bool = True, timed: int = 0) -> ModuleType:
    """``yolo._cuda`` with its libraries found, or the newest build of ``_cuda_host``.

    timed: of so many ways to do a convolution the fastest is taken, by default the first, as commands do it; tf32:
    float32 maps may be multiplied with 10 bits behind the point. Raises FileNotFoundError where the host's is not
    built, and RuntimeSetupError where a GPU cannot be used.
    """
    if device == "host":
        return _host()
    from yolo import cuda

    module, plans = cuda.started(0), WORK / f"cuda_plans-{timed}"
    plans.mkdir(parents=True, exist_ok=True)
    module.configure(library=cudnn_folder(), plans=str(plans), tf32=tf32, timed=timed)
    return module


def _host() -> ModuleType:
    built = sorted(ROOT.glob("build/*/cuda_host/_cuda_host*.so"), key=lambda path: path.stat().st_mtime)
    if not built:
        raise FileNotFoundError("the host's module is not built; type: make cuda-host")
    spec = importlib.util.spec_from_file_location("_cuda_host", built[-1])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cudnn_folder() -> str:
    """Where cuDNN 9 lies among this Python's packages; "" where it does not, and the loader is to know."""
    from yolo import cuda

    return cuda.library_folder("cudnn", "libcudnn.so.9")
