"""The images by which int8 is calibrated."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from yolo.data.dataset import Dataset
from yolo.data.images import check_image, read_image
from yolo.data.letterbox import Size, fit, letterbox
from yolo.data.listing import list_images
from yolo.errors import DataError
from yolo.inference.settings import rounded_size
from yolo.program.footprint import require_memory

T = TypeVar("T")

logger = logging.getLogger("yolo")

IMAGES: Final = 64
SPLITS: Final = ("train", "val", "test")


@dataclasses.dataclass(frozen=True)
class Calibration:
    """A data set's images, at the size that the network will be used with."""

    dataset: Dataset
    size: Size

    def images(self, stride: int) -> list[np.ndarray]:
        """Up to 64 of the first split (train, where there is one), evenly spread over its list.

        Letterboxed as for detection: uint8 ``[3, H, W]`` each, their sides multiples of ``stride``. No label is read.
        An image that cannot be read is left out and said; raises DataError where none can.
        """
        split = next(name for name in SPLITS if name in self.dataset.splits)
        paths, size = list_images(self.dataset, split), rounded_size(self.size, stride)
        chosen = np.unique(np.linspace(0, len(paths) - 1, min(IMAGES, len(paths))).round().astype(int))
        boxes = _readable(
            [paths[place] for place in chosen], lambda path: fit(check_image(path), size, auto=True, stride=stride)
        )
        needed = sum(3 * box.size[0] * box.size[1] for box in boxes.values())
        require_memory(needed, (len(boxes), 3, *size), f"--imgsz {max(self.size)}")
        return list(_readable(boxes, lambda path: letterbox(read_image(path), boxes[path])).values())


def _readable(paths: Iterable[Path], read: Callable[[Path], T]) -> dict[Path, T]:
    """What is read of each path, in their order; raises the last one's DataError where none can be."""
    found: dict[Path, T] = {}
    failed: list[DataError] = []
    for path in paths:
        try:
            found[path] = read(path)
        except DataError as error:
            failed.append(error)
            logger.warning("left out of the calibration: %s", error)
    if not found:
        raise failed[-1]
    return found
