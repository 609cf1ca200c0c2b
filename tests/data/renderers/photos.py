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


def lossless_jpeg(height: int, width: int) -> bytes:
    """A lossless JPEG (ITU T.81, process 14) of at most 128 rows: row y has the value 128 + y everywhere."""

    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content

    # Of each value the difference to its left one, of the first to the upper one: "0" is none, "10" and "1" is one.
    bits = "000" * width + ("101" * 3 + "000" * (width - 1)) * (height - 1)
    bits += "1" * (-len(bits) % 8)
    frame = bytes([8, *height.to_bytes(2, "big"), *width.to_bytes(2, "big"), 3]) + b"R\x11\0G\x11\0B\x11\0"
    table = bytes([0, 1, 1, *[0] * 14, 0, 1])
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    head = segment(0xC3, frame) + segment(0xC4, table) + segment(0xDA, b"\3R\0G\0B\0\1\0\0")
    return b"\xff\xd8" + head + scan + b"\xff\xd9"


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif
