"""What a machine lacks for `make cuda-check`, and how to get it.

python -m benchmarks.cuda_needs [--peers PYTHON]: the card, driver, cuDNN and PyTorch that there are, as JSON. The exit
status is 1 where the card cannot be used.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.cuda_about import about
from benchmarks.places import PARITY, ROOT, cuda_peers_python

LIMIT_S = 60.0
PACKAGES = {
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "yaml": "PyYAML",
    "safetensors": "safetensors",
}
"""What this project imports of others where no OneFlow is, and how pip calls it."""
_GPU = "from yolo import cuda; raise SystemExit(cuda.unavailable())"
_CUDNN = "from benchmarks import cuda_about; raise SystemExit(cuda_about.cudnn_version().startswith('absent'))"


def absent(peers: Path) -> dict[str, str]:
    """What is missing: its name -> how to get it. Names are those that the parts of ``cuda_check`` ask for."""
    ours = Path(sys.executable)
    checks: dict[str, tuple[Callable[[], bool], str]] = {
        "driver": (lambda: shutil.which("nvidia-smi") is not None, "no nvidia-smi: the driver's version is not told"),
        "packages": (lambda: all(map(_has, PACKAGES)), f"pip install {' '.join(PACKAGES.values())}"),
        "module": (
            _module,
            f"for this Python ({_built()}): make cuda, or scripts/cuda_modules.sh PYTHON",
        ),
        "gpu": (lambda: _runs(ours, _GPU), "no GPU that yolo._cuda can use: its driver must know CUDA 13"),
        "cudnn": (
            lambda: _runs(ours, _CUDNN),
            "cuDNN 9 for CUDA 13: the packages of the extra `cuda` in setup.py",
        ),
        "pytest": (
            lambda: all(map(_has, ("pytest", "pytest_timeout", "hypothesis"))),
            "pip install pytest pytest-timeout hypothesis",
        ),
        "oneflow": (lambda: _has("oneflow"), "not for this Python: tests that need it are left out"),
        "torch": (
            lambda: _imports(peers, "torch"),
            f"none in {peers}: make bench-peers-cuda, or YOLO_CUDA_PEERS=PYTHON",
        ),
        "torchvision": (lambda: _imports(peers, "torchvision"), "no peer for suppression: its rows have no ratio"),
        "sanitizer": (lambda: sanitizer() is not None, "compute-sanitizer: of the CUDA toolkit"),
        "weights": (_weights, f"yolov5n.pt and yolov5s.pt in {PARITY / 'weights'}"),
        "photographs": (lambda: (PARITY / "data" / "bus.jpg").is_file(), "noise and invented heads instead"),
    }
    return {name: how for name, (there, how) in checks.items() if not there()}


def sanitizer() -> str | None:
    """compute-sanitizer's file, where it is found."""
    return shutil.which("compute-sanitizer", path=f"{os.environ.get('PATH', '')}:/usr/local/cuda/bin")


def _has(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _module() -> bool:
    return _imports(Path(sys.executable), "yolo._native") and _imports(Path(sys.executable), "yolo._cuda")


def _weights() -> bool:
    return all((PARITY / "weights" / f"{model}.pt").is_file() for model in ("yolov5n", "yolov5s"))


def _built() -> str:
    found = sorted(path.name for path in (ROOT / "yolo").glob("_*.so") if path.name.startswith(("_native", "_cuda")))
    return f"there are {', '.join(found)}" if found else "there are none"


def _imports(python: Path, name: str) -> bool:
    return _runs(python, f"import {name}")


def _runs(python: Path, code: str) -> bool:
    if not python.exists():
        return False
    done = subprocess.run([str(python), "-c", code], cwd=ROOT, capture_output=True, timeout=LIMIT_S, check=False)
    return done.returncode == 0


def main() -> int:
    """Print what there is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, default=cuda_peers_python())
    found = about("cuda", parser.parse_args().peers)
    print(json.dumps(found))
    return 1 if found["card"].startswith("unknown") else 0


if __name__ == "__main__":
    sys.exit(main())
