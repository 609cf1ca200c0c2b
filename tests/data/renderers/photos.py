"""JPEG files like photographs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image


def photo(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Colours that change as softly and as sharply as a photograph's: RGB uint8 ``[*size, 3]``."""
    rng, total = np.random.default_rng(seed), np.zeros((*size, 3))
    for cells, strength in ((3, 110), (9, 60), (40, 25)):
        field = rng.normal(0, strength, (cells, cells, 3))
        total += cv2.resize(field, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(total + 120, 0, 255).astype(np.uint8)


def save_jpeg(path: Path, image: np.ndarray, mode: str = "RGB", **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).convert(mode).save(path, "JPEG", **{"quality": 92, **options})
    return path


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif
