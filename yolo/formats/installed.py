"""The optional packages that write and run other formats."""

from __future__ import annotations

import importlib.util

from yolo.errors import ConfigError

EXTRAS = {
    "onnx": ("onnx==1.17.0", "onnxruntime==1.23.2"),
    "openvino": ("onnx==1.17.0", "onnxruntime==1.23.2", "openvino==2026.4.1"),
}
"""What each format asks for, as setup.py's extra of that name has it."""


def is_installed(package: str) -> bool:
    """Whether a package is there to be imported."""
    return importlib.util.find_spec(package) is not None


def require_packages(name: str, packages: tuple[str, ...]) -> None:
    """Raise ConfigError where one of ``packages`` is missing that the format, and the extra, ``name`` needs."""
    for package in packages:
        if not is_installed(package):
            hint = f"pip install {' '.join(EXTRAS[name])}, or leave {name} out"
            raise ConfigError(f"needs the package {package}", where=f"--include {name}", hint=hint)
