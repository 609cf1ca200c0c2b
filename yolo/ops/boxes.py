"""Conversions between box forms; every function takes ``[..., 4]`` and gives new float32 boxes of that shape.

``size`` is (height, width) in pixels. All raise ValueError for a wrong shape, type or size. NaN stays NaN.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

Pair = tuple[float, float]


class LetterboxLike(Protocol):
    """What ``scale_boxes`` reads of a letterbox."""

    @property
    def original(self) -> Pair:
        """(height, width) of the image before it was scaled."""

    @property
    def ratio(self) -> Pair:
        """(y, x): scaled over original."""

    @property
    def pad(self) -> Pair:
        """(x, y): the border at the left and at the top, in pixels of the network's input."""


def xywhn_to_xyxy(boxes: np.ndarray, size: Pair) -> np.ndarray:
    """Normalised centre form to corners in pixels of an image of ``size``."""
    boxes, scale = _boxes(boxes), _width_height(size, "size")
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return np.concatenate((scale * (centre - half), scale * (centre + half)), axis=-1)


def xyxy_to_xywhn(boxes: np.ndarray, size: Pair) -> np.ndarray:
    """Corners in pixels to the centre form divided by the image's width and height."""
    boxes, scale = _boxes(boxes), _width_height(size, "size")
    low, high = boxes[..., :2], boxes[..., 2:]
    return np.concatenate(((low + high) / 2 / scale, (high - low) / scale), axis=-1)


def scale_boxes(boxes: np.ndarray, letterbox: LetterboxLike) -> np.ndarray:
    """Corners in the letterboxed image to corners in the original one, clipped to it."""
    corners = _boxes(boxes).reshape(*np.shape(boxes)[:-1], 2, 2)
    ratio, size = (_width_height(getattr(letterbox, name), f"letterbox.{name}") for name in ("ratio", "original"))
    found = (corners - np.asarray(letterbox.pad, np.float32)) / ratio
    return np.clip(found, np.float32(0), size).reshape(np.shape(boxes))


def labels_to_xyxy(labels: np.ndarray, size: Pair) -> np.ndarray:
    """Rows ``class, x1, y1, x2, y2`` in pixels from label rows ``[n, 5]`` (class, xywhn)."""
    labels = np.asarray(labels, np.float32).reshape(-1, 5)
    return np.concatenate((labels[:, :1], xywhn_to_xyxy(labels[:, 1:], size)), axis=1)


def _boxes(value: np.ndarray) -> np.ndarray:
    boxes = np.asarray(value)
    if boxes.ndim < 1 or boxes.shape[-1] != 4 or boxes.dtype.kind not in "fiu":
        got = f"shape {list(boxes.shape)} of {boxes.dtype}"
        raise ValueError(f"boxes: expected float32 boxes of shape [..., 4], got {got}")
    return boxes.astype(np.float32, copy=False)


def _width_height(pair: Pair, name: str) -> np.ndarray:
    """float32 (x, y) of a pair (y, x)."""
    height, width = pair
    if not (height > 0 and width > 0):
        raise ValueError(f"{name}: expected (height, width) above 0, got {pair}")
    return np.array((width, height), np.float32)
