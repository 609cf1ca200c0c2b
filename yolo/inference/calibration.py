"""The images by which int8 is calibrated."""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np

from yolo.data.dataset import Dataset
from yolo.data.images import check_image, read_image
from yolo.data.letterbox import Size, fit, letterbox
from yolo.data.listing import list_images
from yolo.inference.settings import rounded_size
from yolo.program.footprint import require_memory

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
        Raises DataError for images that cannot be read.
        """
        split = next(name for name in SPLITS if name in self.dataset.splits)
        paths, size = list_images(self.dataset, split), rounded_size(self.size, stride)
        chosen = np.unique(np.linspace(0, len(paths) - 1, min(IMAGES, len(paths))).round().astype(int))
        boxes = [fit(check_image(paths[place]), size, auto=True, stride=stride) for place in chosen]
        needed = sum(3 * box.size[0] * box.size[1] for box in boxes)
        require_memory(needed, (len(boxes), 3, *size), f"--imgsz {max(self.size)}")
        return [letterbox(read_image(paths[place]), box) for place, box in zip(chosen, boxes)]
