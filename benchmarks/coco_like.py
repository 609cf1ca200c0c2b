"""A data set of COCO's shape, made here: 80 classes, about seven boxes an image, COCO's usual image sizes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.random import Generator
from numpy.typing import NDArray

from yolo.data.folders import new_folder

CLASSES = 80
BOXES = 7.3
"""Mean of an image's boxes, as in COCO's training set."""
MOST_BOXES = 60
SIZES = ((480, 640), (640, 480), (427, 640), (640, 427), (375, 500), (612, 612))
"""Height, width."""
_JPEG_QUALITY = 92
_VAL_SHARE, _LEAST_VAL = 8, 8


def make_coco_like(folder: Path, images: int, seed: int = 0) -> Path:
    """Give the YAML of so many training images, and an eighth for validation; made where it is not there yet.

    The same files for the same seed. Raises DataError when ``folder`` holds something else or cannot be written.
    """
    path = folder / "data.yaml"
    if path.is_file():
        return path
    with new_folder(folder, path) as new:
        for number, (split, count) in enumerate((("train", images), ("val", max(images // _VAL_SHARE, _LEAST_VAL)))):
            (new / f"images/{split}").mkdir(parents=True)
            (new / f"labels/{split}").mkdir(parents=True)
            for k in range(count):
                image, rows = draw(np.random.default_rng([seed, number, k]))
                jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
                (new / f"images/{split}/{k:06d}.jpg").write_bytes(jpeg.tobytes())
                lines = (f"{int(row[0])} " + " ".join(f"{value:.6f}" for value in row[1:]) for row in rows)
                (new / f"labels/{split}/{k:06d}.txt").write_text("".join(f"{line}\n" for line in lines))
        names = [f"class {number}" for number in range(CLASSES)]
        content = {"path": ".", "train": "images/train", "val": "images/val", "names": names}
        (new / "data.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def draw(rng: Generator) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """An image (uint8 ``[h, w, 3]``) of rough texture, with a plain rectangle in each box; label rows ``[n, 5]``."""
    height, width = SIZES[int(rng.integers(len(SIZES)))]
    rough = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    image = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
    rows = []
    for _ in range(min(int(rng.geometric(1 / BOXES)), MOST_BOXES)):
        w, h = np.clip(np.exp(rng.normal(-1.9, 0.8, 2)), 0.02, 0.95)
        x, y = rng.uniform((w / 2, h / 2), (1 - w / 2, 1 - h / 2))
        label = int(rng.integers(CLASSES))
        corners = [(round((x + s * w / 2) * width), round((y + s * h / 2) * height)) for s in (-1, 1)]
        cv2.rectangle(image, *corners, _colour(label), cv2.FILLED)
        rows.append((label, x, y, w, h))
    return image, np.array(rows, np.float64)


def _colour(label: int) -> tuple[int, int, int]:
    return label * 37 % 256, label * 91 % 256, label * 151 % 256
