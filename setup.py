"""Builds ``yolo._native`` and the other compiled libraries with CMake and installs ``yolo`` and ``graphs``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


def version() -> str:
    """The version in ``yolo/__init__.py``, read as text: importing the package is not the build's business."""
    text = (ROOT / "yolo" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE).group(1)


def find_tool(name: str) -> str | None:
    """A program beside this Python (the environment's own) before one on PATH."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which(name, path=places)


class CMakeBuild(build_ext):
    """Runs CMake for the targets of the extensions' names; setuptools copies the results into the tree.

    Of the environment: ``YOLO_CUDA`` (auto, on, off) says whether ``yolo._cuda`` is built, and
    ``YOLO_CUDA_ARCHITECTURES`` ("90", "native", "75-real;80") for which GPUs, if not for all: csrc/cuda/CMakeLists.txt.
    """

    build = ROOT / "build" / sys.implementation.cache_tag  # kept, so that a change compiles only what it touches

    def build_extensions(self) -> None:
        cmake = find_tool("cmake")
        if cmake is None:
            raise SystemExit("cmake is missing; pip install cmake ninja")
        self.configure(cmake)
        if "CUDA_MODULE:INTERNAL=ON" not in (self.build / "CMakeCache.txt").read_text(encoding="utf-8"):
            self.extensions = [extension for extension in self.extensions if extension.name != "yolo._cuda"]
            for stale in (ROOT / "yolo").glob("_cuda.*.so"):  # of an earlier build; it would be taken for this one's
                stale.unlink()
        names = [extension.name.rpartition(".")[2] for extension in self.extensions]
        jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count() or 1))
        subprocess.run([cmake, "--build", str(self.build), "--parallel", jobs, "--target", *names], check=True)

    def configure(self, cmake: str) -> None:
        target = Path(self.get_ext_fullpath(self.extensions[0].name)).resolve().parent
        target.mkdir(parents=True, exist_ok=True)
        arguments = [
            cmake,
            f"-S{ROOT}",
            f"-B{self.build}",
            f"-DCMAKE_BUILD_TYPE={'Debug' if self.debug else 'Release'}",
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={target}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-DYOLO_CUDA={os.environ.get('YOLO_CUDA', 'auto')}",
            f"-DYOLO_CUDA_ARCHITECTURES={os.environ.get('YOLO_CUDA_ARCHITECTURES', '')}",
        ]
        ninja = find_tool("ninja")
        if ninja and not (self.build / "CMakeCache.txt").exists():
            arguments += ["-GNinja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
        subprocess.run(arguments, check=True)


setup(
    name="yolo-oneflow",
    version=version(),
    description="YOLOv5 on OneFlow static graphs",
    license="Apache-2.0",
    python_requires=">=3.10",
    package_dir={"": "."},
    packages=find_packages(str(ROOT), include=["yolo", "yolo.*", "graphs", "graphs.*"]),
    package_data={
        "yolo": ["py.typed", "**/*.yaml", "**/*.css", "demo/*.png", "serving/static/*"],
        "graphs": ["**/*.yaml"],
    },
    ext_modules=[
        Extension(f"yolo.{name}", sources=[]) for name in ("_native", "_graph_queue", "_stand_in", "_oneflow", "_cuda")
    ],
    extras_require={
        "dali": ["nvidia-dali-cuda120==2.4.0"],  # --loader dali
        # yolo.export --include onnx: the newest onnx that takes OneFlow's protobuf, and what verifies the files
        "onnx": ["onnx==1.17.0", "onnxruntime==1.23.2"],
        "openvino": ["onnx==1.17.0", "onnxruntime==1.23.2", "openvino==2026.4.1"],
        "serve": ["fastapi==0.162.5", "uvicorn==0.54.0", "python-multipart==0.0.32"],
        # What yolo._cuda loads at run time. cuDNN 9 lies beside OneFlow's cuDNN 8: the libraries have other names.
        "cuda": [
            "nvidia-cudnn-cu13==9.28.1.4",
            "nvidia-cublas==13.1.1.3",
            "nvidia-cuda-nvrtc==13.0.88",
            "nvidia-nccl-cu13==2.30.7",
        ],
    },
    cmdclass={"build_ext": CMakeBuild},
    zip_safe=False,
)
