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
    """Runs CMake for the target of an extension's name; setuptools copies the result into the tree."""

    def build_extension(self, extension: Extension) -> None:
        cmake = find_tool("cmake")
        if cmake is None:
            raise SystemExit("cmake is missing; pip install cmake ninja")
        target = Path(self.get_ext_fullpath(extension.name)).resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        build = ROOT / "build" / sys.implementation.cache_tag  # kept, so that a change compiles only what it touches
        configure = [
            cmake,
            f"-S{ROOT}",
            f"-B{build}",
            f"-DCMAKE_BUILD_TYPE={'Debug' if self.debug else 'Release'}",
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={target.parent}",
            f"-DPython_EXECUTABLE={sys.executable}",
        ]
        ninja = find_tool("ninja")
        if ninja and not (build / "CMakeCache.txt").exists():
            configure += ["-GNinja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
        subprocess.run(configure, check=True)
        name = extension.name.rpartition(".")[2]
        jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count() or 1))
        subprocess.run([cmake, "--build", str(build), "--target", name, "--parallel", jobs], check=True)


setup(
    name="yolo-oneflow",
    version=version(),
    description="YOLOv5 on OneFlow static graphs",
    license="Apache-2.0",
    python_requires=">=3.10",
    package_dir={"": "."},
    packages=find_packages(str(ROOT), include=["yolo", "yolo.*", "graphs", "graphs.*"]),
    package_data={"yolo": ["**/*.yaml", "**/*.css", "demo/*.png"], "graphs": ["**/*.yaml"]},
    ext_modules=[
        Extension(f"yolo.{name}", sources=[]) for name in ("_native", "_graph_queue", "_stand_in", "_oneflow")
    ],
    extras_require={"dali": ["nvidia-dali-cuda120==2.4.0"]},  # --loader dali
    cmdclass={"build_ext": CMakeBuild},
    zip_safe=False,
)
