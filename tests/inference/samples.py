"""Images, videos and a small network's weights for the tests of detection."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from tests.models.small import small_mapping
from yolo.data.images import write_image
from yolo.models.config import parse_model_config
from yolo.models.network import build_network
from yolo.models.weights.safetensors_io import save_checkpoint
from yolo.models.weights.transfer import checkpoint_of

NAMES = ("cat", "traffic light/red")
SIZE = (48, 64)
"""Most images have this size, so that one graph serves them."""


def make_weights(path: Path, seed: int = 0, names: tuple[str, ...] = NAMES) -> Path:
    """Weights of a network that was not trained and sees objects everywhere."""
    network = build_network(parse_model_config(small_mapping(nc=len(names)), name="small.yaml"), rng=seed)
    checkpoint = checkpoint_of(network, names)
    for name in [name for name in checkpoint.model if name.endswith(("m.0.bias", "m.1.bias"))]:
        bias = checkpoint.model[name].reshape(2, 5 + len(names))  # anchors; x, y, w, h, objectness, classes
        bias[:, 4:7] = [[1, 0, 0.01], [2, 0.01, 0]]
    for name in [name for name in checkpoint.model if name.endswith(("m.0.weight", "m.1.weight"))]:
        checkpoint.model[name] *= 20
    return save_checkpoint(path, checkpoint)


def noise(size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    """Blocks of random colours, RGB uint8 ``[H, W, 3]``."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_NEAREST)


def make_image(path: Path, size: tuple[int, int] = SIZE, seed: int = 0) -> Path:
    return write_image(path, noise(size, seed))


def make_video(path: Path, frames: int = 4, fps: float = 10, size: tuple[int, int] = SIZE) -> Path:
    """An mp4 or avi whose frames get brighter: frame i (from 1) is grey of about 20 i."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # OpenCV reads this once, before its first video; the project sets it too, but may come second here.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), fps, size[::-1])
    assert writer.isOpened()
    for number in range(1, frames + 1):
        writer.write(np.full((*size, 3), 20 * number, np.uint8))
    writer.release()
    return path


def files(folder: str = "runs") -> list[str]:
    """All files in a folder, by their paths there."""
    root = Path(folder)
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
