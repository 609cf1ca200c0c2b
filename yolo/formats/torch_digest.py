"""``python -m yolo.formats.torch_digest FILE``: what PyTorch reads from a state dict, as JSON on stdout.

A process of its own for `yolo.formats.pytorch`, which compares it with what was written.
"""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np


def digest(values: np.ndarray) -> str:
    """Type, shape and the SHA-256 of the numbers in C order."""
    data = np.asarray(values, order="C").tobytes()
    return f"{values.dtype.name} {list(values.shape)} {hashlib.sha256(data).hexdigest()}"


def main(path: str) -> None:
    """Print ``version`` of PyTorch and ``tensors``: name -> digest."""
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    tensors = {name: digest(tensor.numpy()) for name, tensor in state.items()}
    print(json.dumps({"version": torch.__version__, "tensors": tensors}))


if __name__ == "__main__":
    main(sys.argv[1])
