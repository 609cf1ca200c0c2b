"""The reference detections on COCO128, in pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from tests.parity import PARITY
from yolo.ops import labels_to_xyxy, xywhn_to_xyxy


@dataclass(frozen=True)
class Image:
    path: Path
    size: tuple[int, int]
    detections: np.ndarray  # [n, 6] x1, y1, x2, y2, confidence, class
    labels: np.ndarray  # [m, 5] class, x, y, w, h (normalised)

    @property
    def pixel_labels(self) -> np.ndarray:
        return labels_to_xyxy(self.labels, self.size)


def images(model: str) -> Iterator[Image]:
    """COCO128's images in order, with what ``model`` (yolov5n, yolov5s) found."""
    with np.load(PARITY / "reference" / f"detections_{model}_coco128.npz") as reference:
        names, rows = reference["images"], reference["detections"]
    for index, name in enumerate(names):
        path = PARITY / "data/coco128/images/train2017" / str(name)
        size = cv2.imread(str(path)).shape[:2]
        mine = rows[rows[:, 0] == index]
        boxes = xywhn_to_xyxy(mine[:, 2:6], size)
        yield Image(path, size, np.concatenate((boxes, mine[:, 6:7], mine[:, 1:2]), 1), _labels(path))


def _labels(path: Path) -> np.ndarray:
    file = PARITY / "data/coco128/labels/train2017" / f"{path.stem}.txt"
    text = file.read_text() if file.exists() else ""
    return np.array(text.split(), np.float32).reshape(-1, 5)
