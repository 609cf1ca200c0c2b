"""The views of an image that test-time augmentation looks at."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo.data.letterbox import FILL, Size


@dataclasses.dataclass(frozen=True)
class View:
    """An image scaled by ``scale``, before that mirrored left to right where ``mirrored``."""

    scale: float = 1.0
    mirrored: bool = False


AS_IT_IS = (View(),)
AUGMENTED = (View(1.0), View(0.83, mirrored=True), View(0.67))
"""YOLOv5's."""


def seen(images: NDArray[np.uint8], view: View, stride: int) -> NDArray[np.uint8]:
    """The view of uint8 ``[B, C, H, W]``: scaled linearly, filled at the right and below to a multiple of ``stride``.

    YOLOv5 fills with 0.447, which is 114 of 255, and scales floats; here the scaled pixels are rounded to 8 bits.
    """
    if view.mirrored:
        images = np.ascontiguousarray(images[..., ::-1])
    if view.scale == 1:
        return images
    height, width = (int(side * view.scale) for side in images.shape[2:])
    padded = np.full((*images.shape[:2], *view_size(images.shape[2:], view.scale, stride)), FILL, np.uint8)
    for target, image in zip(padded, images):
        for plane, source in zip(target, image):
            plane[:height, :width] = cv2.resize(source, (width, height), interpolation=cv2.INTER_LINEAR)
    return padded


def view_size(size: Size, scale: float, stride: int) -> Size:
    """(height, width) of the view of an image of ``size``."""
    height, width = (math.ceil(side * scale / stride) * stride for side in size)
    return height, width


def kept_levels(levels: int, number: int, views: int) -> range:
    """Which levels count in view ``number``: the first view has no largest objects, the last one no smallest.

    A network of one level keeps it in all views.
    """
    if views == 1 or levels == 1:
        return range(levels)
    return range(int(number == views - 1), levels - int(number == 0))
