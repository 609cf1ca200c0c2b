"""What a training holds in memory: of this process, and on a GPU."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from yolo import cuda


def peak_memory(status: Path = Path("/proc/self/status")) -> int:
    """The most bytes of memory that this process has held at once (resident, what it shares included)."""
    lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) << 10


def free_gpu_memory(index: int) -> int:
    """Bytes of a GPU's memory that no process holds.

    Asked of the module of programs, which then holds its few 100 MB there, or else of the driver's nvidia-smi. Raises
    OSError without both.
    """
    return _of_module(index)[0] if cuda.unavailable(index) is None else _gpu_memory(index, "free")


def used_gpu_memory(index: int) -> int:
    """Bytes of a GPU's memory that processes hold, as ``free_gpu_memory``."""
    if cuda.unavailable(index) is not None:
        return _gpu_memory(index, "used")
    free, total = _of_module(index)
    return total - free


def _of_module(index: int) -> tuple[int, int]:
    """Bytes that are free, and all that there are."""
    return cuda.started(index).memory()


def _gpu_memory(index: int, kind: str) -> int:
    """``index``: among those that this process sees."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    name = seen[index].strip() if index < len(seen) and seen[index].strip() else str(index)
    command = ["nvidia-smi", f"--id={name}", f"--query-gpu=memory.{kind}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        return int(answer.split()[0]) << 20
    except FileNotFoundError as error:
        raise OSError(f"there is no nvidia-smi, which says how much memory GPU {index} has {kind}") from error
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        raise OSError(f"nvidia-smi does not report the memory of GPU {index}: {error}") from error
