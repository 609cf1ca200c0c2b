"""``python -m yolo.train`` on a machine whose GPUs are the host's module (csrc/cuda/host); run by test_cuda."""

from __future__ import annotations

from tests.device import cuda_host
from yolo import cuda
from yolo.stops import run

if __name__ == "__main__":
    host = cuda_host()
    cuda.module = lambda: host
    run("yolo.train", ranks=True)
