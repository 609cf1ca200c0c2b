"""A run's images inside the page: which, what they show, and small enough to be sent by mail."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo.data.images import read_image

LONGEST_SIDE = 1280
QUALITY = 82
_KINDS = (
    (r"confusion_matrix\.png", "Confusion matrix: what it was below, what was predicted at the left"),
    (r"labels\.jpg", "The labels: how many, their shapes, where they lie and how big they are"),
    (r"labels_correlogram\.jpg", "The labels' places and sizes, each against each"),
    (r"train_batch(\d+)\.jpg", "Training batch {} with its labels, as augmented"),
    (r"val_batch(\d+)_labels\.jpg", "Validation batch {}: labels"),
    (r"val_batch(\d+)_pred\.jpg", "Validation batch {}: what the best checkpoint found"),
)


def images_of(run: Path, *, matrix: bool = False) -> list[Path]:
    """The images that a report shows, in its order; a batch's labels stand before what was found.

    matrix: the confusion matrix too, where it has too many classes for a table.
    """
    found = [((-1, 0, 0), file) for file in run.glob("confusion_matrix.png") if matrix]
    for rank, (pattern, _) in enumerate(_KINDS[1:]):
        for file in run.iterdir():
            match = re.fullmatch(pattern, file.name)
            if match:
                number = int(match[1]) if match.groups() else 0
                found.append(((min(rank, 3), number, rank), file))
    return [file for _, file in sorted(found)]


def described(file: Path) -> str:
    """What the image shows, in a sentence."""
    for pattern, text in _KINDS:
        match = re.fullmatch(pattern, file.name)
        if match:
            return text.format(*match.groups())
    return file.name


def embedded(image: Path | NDArray[np.uint8]) -> str:
    """A file's image, or RGB uint8 ``[H, W, 3]``, as a ``data:`` URL, its longer side at most 1280 pixels."""
    shown = shrunk(read_image(image) if isinstance(image, Path) else image, LONGEST_SIDE)
    _, data = cv2.imencode(".jpg", shown[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


def shrunk(image: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """The image with a longer side of at most ``longest`` pixels."""
    scale = longest / max(image.shape[:2])
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
