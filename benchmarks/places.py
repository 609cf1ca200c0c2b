"""Where the benchmarks find environments, weights and images, and where they put their own files."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARITY = ROOT.parent / "shared" / "parity"
WORK = ROOT / "runs" / "bench"
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
PROJECT_PYTHON = sys.executable


def cuda_peers_python() -> Path:
    """A Python that has PyTorch for GPUs: the one that YOLO_CUDA_PEERS names, that of `make bench-peers-cuda`, or this
    one, where it has PyTorch."""
    named, made = os.environ.get("YOLO_CUDA_PEERS"), ROOT / ".venv-peers-cuda" / "bin" / "python"
    if named or made.exists() or importlib.util.find_spec("torch") is None:
        return Path(named or made)
    return Path(sys.executable)


def weights(model: str, folder: Path) -> Path:
    """The weights of ``model`` in ``folder``; raises FileNotFoundError that says where they were looked for."""
    path = folder / f"{model}.pt"
    if not path.is_file():
        raise FileNotFoundError(f"no {path}: name the folder of the published yolov5*.pt with --weights")
    return path
