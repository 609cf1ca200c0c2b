"""The backend of a device by its name."""

from __future__ import annotations

from yolo import cuda
from yolo.program.backends.base import Backend
from yolo.program.backends.cpu import CpuBackend
from yolo.program.backends.cuda import CudaBackend


def backend_of(device: str) -> Backend:
    """Of "cpu" or "cuda:N". Raises RuntimeSetupError for a GPU that no program can run on."""
    return CpuBackend() if device == "cpu" else CudaBackend(cuda.started(cuda.index_of(device)))
