"""What a loader hands out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolo.data.letterbox import Letterbox


@dataclass(frozen=True, eq=False)
class Batch:
    """Images of one size and their labels."""

    images: NDArray[np.uint8]
    """RGB, ``[B, 3, H, W]``."""
    labels: tuple[NDArray[np.float32], ...]
    """For each image float32 ``[n, 5]``: class, xywhn of the image as it is in the batch."""
    indices: NDArray[np.int64]
    """``[B]``: positions in the index."""
    paths: tuple[Path, ...]
    letterboxes: tuple[Letterbox, ...] | None = None
    """In validation: the way back to the original images."""
    uploaded: Any = None
    """The images where they are computed with, if that is not here (``TrainStep.upload``)."""

    def __len__(self) -> int:
        return len(self.indices)


def pad_labels(labels: Sequence[NDArray[np.float32]], capacity: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Labels as one array of fixed size: float32 ``[B, capacity, 5]``, zero padded, and counts int32 ``[B]``.

    Raises ValueError when an image has more than ``capacity`` labels.
    """
    counts = np.array([len(rows) for rows in labels], np.int32)
    if len(counts) and counts.max() > capacity:
        raise ValueError(f"{counts.max()} labels in one image, capacity {capacity}")
    padded = np.zeros((len(labels), capacity, 5), np.float32)
    for target, rows in zip(padded, labels):
        target[: len(rows)] = rows
    return padded, counts
