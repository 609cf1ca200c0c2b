"""Fitting an image into a size: scale, pad, and the numbers to find the way back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]

FILL = 114
"""The grey that pads an image."""


@dataclass(frozen=True)
class Letterbox:
    """Where an image lies inside the padded one; all sizes are ``(height, width)`` in pixels.

    ``x_padded = x_original * ratio[1] + pad[0]`` and ``y_padded = y_original * ratio[0] + pad[1]``.
    """

    original: Size
    ratio: tuple[float, float]
    """(y, x): resized divided by original."""
    pad: tuple[float, float]
    """(left, top): half of the padding, so it may end in .5; the pixels start at ``offset``."""
    size: Size
    """Of the padded image."""

    @property
    def resized(self) -> Size:
        """Size of the image inside the padding."""
        return round(self.original[0] * self.ratio[0]), round(self.original[1] * self.ratio[1])

    @property
    def offset(self) -> tuple[int, int]:
        """(left, top): the whole pixels of padding before the image; the odd one goes right and below."""
        return round(self.pad[0] - 0.1), round(self.pad[1] - 0.1)


def fit(
    original: Size,
    size: Size | int,
    *,
    source: Size | None = None,
    auto: bool = False,
    stride: int = 32,
    scaleup: bool = True,
) -> Letterbox:
    """The letterbox of an image of ``original`` size in ``size``, numbers only.

    ``source`` is what the image was resized to beforehand (default: not resized). With ``auto`` the
    padding is only what the next multiple of ``stride`` needs; without ``scaleup`` it is never enlarged.
    """
    height, width = source or original
    target = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    scale = min(target[0] / height, target[1] / width)
    if not scaleup:
        scale = min(scale, 1.0)
    inner = max(round(height * scale), 1), max(round(width * scale), 1)
    rest_y, rest_x = target[0] - inner[0], target[1] - inner[1]
    if auto:
        rest_y, rest_x = rest_y % stride, rest_x % stride
    return Letterbox(
        original=original,
        ratio=(inner[0] / original[0], inner[1] / original[1]),
        pad=(rest_x / 2, rest_y / 2),
        size=(inner[0] + rest_y, inner[1] + rest_x),
    )


def letterbox(image: NDArray[np.uint8], box: Letterbox) -> NDArray[np.uint8]:
    """``image`` (RGB, uint8 ``[H, W, 3]``) as ``box`` describes it, padded with grey: uint8 ``[3, H, W]``."""
    planes = np.empty((3, *box.size), np.uint8)
    letterbox_into(planes, image, box)
    return planes


def letterbox_into(planes: NDArray[np.uint8], image: NDArray[np.uint8], box: Letterbox) -> None:
    """``letterbox`` into ``planes`` (uint8 ``[3, H, W]``, of ``box``'s size), which may be part of a batch."""
    height, width = box.resized
    if image.shape[:2] != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    left, top = box.offset
    planes[:, :top], planes[:, top + height :] = FILL, FILL
    planes[:, :, :left], planes[:, :, left + width :] = FILL, FILL
    cv2.split(image, [plane[top : top + height, left : left + width] for plane in planes])


def resized_size(original: Size, imgsz: int) -> Size:
    """``original`` scaled so that its long side is ``imgsz``; the short side is rounded up."""
    ratio = imgsz / max(original)
    # The float product of the long side can end just above imgsz; rounding that up would add a pixel.
    return min(math.ceil(original[0] * ratio), imgsz), min(math.ceil(original[1] * ratio), imgsz)


def rect_shapes(
    shapes: Sequence[Size] | NDArray[np.integer],
    batch: int,
    imgsz: int,
    stride: int,
    pad: float,
) -> tuple[NDArray[np.int64], list[Size]]:
    """Batches of like aspect: the order of the images, and each batch's ``(height, width)``.

    ``shapes`` is ``[N, 2]`` (height, width); images are sorted by height / width, and each batch is as
    small as its most extreme image allows on the grid of ``stride``, plus ``pad`` strides.
    """
    shapes = np.asarray(shapes, np.float64).reshape(-1, 2)
    aspect = shapes[:, 0] / shapes[:, 1]
    order = np.argsort(aspect, kind="stable")
    sizes = []
    for start in range(0, len(order), batch):
        members = aspect[order[start : start + batch]]
        share = np.ones(2)
        if members.max() < 1:
            share[0] = members.max()
        elif members.min() > 1:
            share[1] = 1 / members.min()
        height, width = (np.ceil(share * imgsz / stride + pad) * stride).astype(int)
        sizes.append((int(height), int(width)))
    return order, sizes
