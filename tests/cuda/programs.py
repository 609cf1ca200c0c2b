"""Small programs around csrc/cuda/gpu, which needs a GPU for the rest, built with the compiler of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLKIT = ROOT / ".venv-cuda" / "nvidia" / "cu13"
GPU = ROOT / "csrc" / "cuda" / "gpu"
HERE = Path(__file__).parent


def compiler(cuda: bool = True) -> str:
    """The C++ compiler; skips the test where there is none, or where ``make cuda`` has put no CUDA headers."""
    found = os.environ.get("CXX") or shutil.which("g++")
    if found is None or (cuda and not (TOOLKIT / "include" / "cuda_runtime_api.h").exists()):
        pytest.skip("needs a C++ compiler and CUDA's headers: make cuda")
    return found


def program(name: str, parts: tuple[str, ...], folder: Path) -> Path:
    """Builds ``tests/cuda/<name>.cpp`` with the parts of csrc/cuda/gpu that it needs."""
    sources = [HERE / f"{name}.cpp", *(GPU / f"{part}.cpp" for part in parts)]
    libraries = ["-lcudart_static", "-lpthread", "-ldl", "-lrt"]
    flags = ["-std=c++17", "-O0", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'csrc'}", f"-isystem{TOOLKIT / 'include'}"]
    command = [compiler(), *flags, *sources, "-o", folder / name, f"-L{TOOLKIT / 'lib'}", *libraries]
    subprocess.run(command, check=True)
    return folder / name


def driver(folder: Path) -> dict[str, str]:
    """Builds what stands in for NVIDIA's driver, and returns the environment in which it is found."""
    folder.mkdir(exist_ok=True)
    command = [compiler(), "-shared", "-fPIC", HERE / "driver.cpp", "-o", folder / "libcuda.so.1"]
    subprocess.run(command, check=True)
    return {**os.environ, "LD_LIBRARY_PATH": str(folder)}


def cudnn() -> Path:
    """The folder of cuDNN's libraries; skips the test where they are not installed."""
    return _libraries("cudnn", "cuDNN", "libcudnn.so.9")


def nccl() -> Path:
    """The folder of NCCL's library; skips the test where it is not installed."""
    return _libraries("nccl", "NCCL", "libnccl.so.2")


def _libraries(name: str, title: str, library: str) -> Path:
    variable = f"YOLO_{name.upper()}"
    folder = Path(os.environ.get(variable) or Path(sysconfig.get_path("purelib"), "nvidia", name, "lib"))
    if not (folder / library).exists():
        pytest.skip(f"needs {title}: pip install nvidia-{name}-cu13, or {variable}=FOLDER of its libraries")
    return folder
