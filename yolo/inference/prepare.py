"""Pictures made into a network's input."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo.data.letterbox import FILL, Letterbox


def planes_into(planes: NDArray[np.uint8], picture: NDArray[np.uint8], box: Letterbox) -> None:
    """Fill ``planes`` (uint8 ``[3, H, W]``, of ``box``'s size) with the letterboxed ``picture`` (``[h, w, 3]``).

    The same pixels as ``yolo.data.letterbox.letterbox`` gives, without a padded picture in between.
    """
    height, width = box.resized
    if picture.shape[:2] != (height, width):
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    left, top = box.offset
    planes[:, :top], planes[:, top + height :] = FILL, FILL
    planes[:, :, :left], planes[:, :, left + width :] = FILL, FILL
    cv2.split(picture, [plane[top : top + height, left : left + width] for plane in planes])
