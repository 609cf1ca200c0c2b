"""Where the benchmarks find environments, weights and images, and where they put their own files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PARITY = ROOT.parent / "shared" / "parity"
WORK = ROOT / "runs" / "bench"
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
CUDA_PEERS_PYTHON = Path(os.environ.get("YOLO_CUDA_PEERS", ROOT / ".venv-peers-cuda" / "bin" / "python"))
"""PyTorch for GPUs; on a machine that has it already, name its Python in the variable."""
PROJECT_PYTHON = sys.executable


def weights(model: str, folder: Path) -> Path:
    """The weights of ``model`` in ``folder``; raises FileNotFoundError that says where they were looked for."""
    path = folder / f"{model}.pt"
    if not path.is_file():
        raise FileNotFoundError(f"no {path}: name the folder of the published yolov5*.pt with --weights")
    return path
