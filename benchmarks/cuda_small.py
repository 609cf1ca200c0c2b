"""A small detector and small training steps on a GPU, for compute-sanitizer, under which everything takes long.

python -m benchmarks.cuda_small WEIGHTS.pt [cuda|host]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.cuda_module import DEVICES
from benchmarks.workers.cuda_network import CudaNetwork
from benchmarks.workers.cuda_training import CudaTraining

SIDE, BATCH, LABELS = 64, 2, 5


def main() -> int:
    """Twice each, so that the recordings run too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("device", choices=DEVICES, nargs="?", default="cuda")
    options = parser.parse_args()
    common = {"weights": str(options.weights), "device": options.device, "tf32": True}
    with tempfile.TemporaryDirectory() as folder:
        batch = _batch(Path(folder) / "batch.npz")
        detector, training = CudaNetwork(), CudaTraining()
        detector.load(images=batch, precision="fp16", conf=0.001, **common)
        training.load(batch=batch, precision="fp16", **common)
        for _ in range(2):
            detector.run()
            training.run()
    return 0


def _batch(path: Path) -> str:
    rng = np.random.default_rng(0)
    labels = rng.uniform(0.2, 0.6, (BATCH, LABELS, 5)).astype(np.float32)
    labels[..., 0] = 0
    images = rng.integers(0, 256, (BATCH, 3, SIDE, SIDE), np.uint8)
    np.savez(path, images=images, labels=labels, counts=np.int32([LABELS, 2]))
    return str(path)


if __name__ == "__main__":
    sys.exit(main())
