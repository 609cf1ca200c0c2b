"""The real images by which exported files are verified."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo.data.dataset import Dataset
from yolo.data.images import read_image
from yolo.data.letterbox import Size, fit, letterbox
from yolo.data.listing import list_images
from yolo.formats.portable import Layout
from yolo.inference.sources.default import DEMO
from yolo.inference.sources.files import find_files

MOST_IMAGES = 16
"""Of a val split, evenly spread: enough for every kind of layer, few enough for a minute."""
SINGLE = 4
"""Of these, those that go through alone in shapes of their own, where shapes are free."""


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """Images that a file is tried with; with a data set its mAP is measured too."""

    images: tuple[Path, ...]
    dataset: Dataset | None = None

    @classmethod
    def of(cls, dataset: Dataset | None) -> Evidence:
        """Up to 16 images of the data set's val split, evenly spread; without one the package's demo images.

        Raises DataError for a data set without a val split, or without images in it.
        """
        if dataset is None:
            return cls(find_files(DEMO))
        paths = list_images(dataset, "val")
        chosen = np.unique(np.linspace(0, len(paths) - 1, min(MOST_IMAGES, len(paths))).round().astype(int))
        return cls(tuple(Path(paths[place]) for place in chosen), dataset)

    def batches(self, layout: Layout, stride: int) -> list[NDArray[np.uint8]]:
        """Letterboxed images, uint8 ``[B, 3, H, W]``: all of them in the layout's size.

        Where sizes and batches are free also some alone with as little padding as ``stride`` allows, and all of them
        in about half the size. Raises DataError for images that cannot be read.
        """
        images = [read_image(path) for path in self.images]
        found = [_stacked(images, layout.size)]
        if layout.dynamic:
            boxes = [fit(image.shape[:2], layout.size, auto=True, stride=stride) for image in images[:SINGLE]]
            found += [letterbox(image, box)[None] for image, box in zip(images, boxes)]
            found.append(_stacked(images, _half(layout.size, stride)))
        return found


def _stacked(images: Sequence[NDArray[np.uint8]], size: Size) -> NDArray[np.uint8]:
    return np.stack([letterbox(image, fit(image.shape[:2], size)) for image in images])


def _half(size: Size, stride: int) -> Size:
    height, width = (max(side // 2 // stride, 1) * stride for side in size)
    return height, width
