"""Images for renderers that are compared with each other: drawn ones, which are always there, and photographs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.parity import PARITY
from yolo.data.images import write_image
from yolo.data.index import Index, index_split
from yolo.data.load import load_dataset

SIZES = ((240, 320), (333, 250), (160, 160), (480, 640), (97, 201), (320, 214))


def drawn(folder: Path, suffix: str = ".jpg") -> Index:
    """Twelve images of SIZES with soft colours, sharp edges and noise, each with one label."""
    rng = np.random.default_rng(5)
    for k, (height, width) in enumerate(SIZES * 2):
        y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
        image = np.stack([x, y, 1 - x * y], -1) * rng.uniform(100, 255, 3)
        for _ in range(8):
            corner, far = rng.integers(0, (width, height), (2, 2)).tolist()
            cv2.rectangle(image, corner, far, rng.uniform(0, 255, 3).tolist(), int(rng.integers(-1, 6)) or -1)
        image = cv2.GaussianBlur(image + rng.normal(0, 12, image.shape), (0, 0), 0.8)
        write_image(folder / "images" / f"{k:02}{suffix}", image.clip(0, 255).astype(np.uint8))
        (folder / "labels").mkdir(exist_ok=True)
        (folder / "labels" / f"{k:02}.txt").write_text("0 .5 .5 .5 .5\n")
    (folder / "data.yaml").write_text("train: images\nval: images\nnames: [a]\n")
    return index_split(load_dataset(folder / "data.yaml"), "train", use_cache=False)


def photographs() -> Index:
    """COCO128; the test is skipped where it is absent."""
    if not PARITY.is_dir():
        pytest.skip("the parity reference (../shared/parity beside the repository) is absent")
    return index_split(load_dataset(PARITY / "data" / "coco128.yaml"), "train", use_cache=False)
