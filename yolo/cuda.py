"""The compiled module of programs on NVIDIA GPUs, ``yolo._cuda``: whether it is there, what it says, and its start."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from pathlib import Path
from types import ModuleType

from yolo.errors import RuntimeSetupError
from yolo.stops import held

_NAME = "yolo._cuda"
_CUDNN = "libcudnn.so.9"
_PACKAGES = "nvidia-cudnn-cu13 nvidia-cublas"


@functools.cache
def module() -> ModuleType | None:
    """The module; None where it is not built. Raises RuntimeSetupError where it does not load."""
    if importlib.util.find_spec(_NAME) is None:
        return None
    try:
        with held():
            return importlib.import_module(_NAME)
    except ImportError as error:
        raise RuntimeSetupError(f"does not load: {error}", where=_NAME, hint="run: make cuda") from error


def unavailable(index: int = 0) -> str | None:
    """Why no program can run on this GPU, counted as this process sees them; None where one can."""
    built = module()
    if built is None:
        return "programs for GPUs are not built here: make cuda builds them"
    return built.unavailable(index) or None


def started(index: int = 0) -> ModuleType:
    """The module, from now on at work on this GPU and on no other.

    Raises RuntimeSetupError where there is none, where this process works on another one, and without cuDNN.
    """
    reason = unavailable(index)
    if reason is not None:
        raise RuntimeSetupError(reason, where=f"cuda:{index}")
    try:
        module().use(index)
    except ValueError as error:
        raise RuntimeSetupError(str(error), where=f"cuda:{index}", hint="start another process for it") from error
    module().configure(library=library_folder("cudnn", _CUDNN), plans=str(_plans()))
    reason = module().convolutions_unavailable()
    if reason:
        raise RuntimeSetupError(reason, where=f"cuda:{index}", hint=f"pip install {_PACKAGES}, or use --device cpu")
    return module()


def index_of(device: str) -> int:
    """N of "cuda:N"; 0 of "cuda"."""
    return int(device.partition(":")[2] or 0)


def library_folder(package: str, library: str) -> str:
    """The folder in which pip put a library of NVIDIA's; "" where it did not: then the loader is to find it."""
    spec = importlib.util.find_spec("nvidia")
    for root in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(root) / package / "lib" / library).is_file():
            return str(Path(root) / package / "lib")
    return ""


def _plans() -> Path:
    """Where cuDNN's plans are kept for the next process."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "yolo" / "cudnn"
