"""Conversions between box forms; every function takes ``[..., 4]`` and gives new float32 boxes of that shape.

``size`` is (height, width) in pixels, ``pad`` is (x, y). All raise ValueError for a wrong shape, type or size.
NaN stays NaN.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from yolo.ops._native import native


class LetterboxLike(Protocol):
    """What ``scale_boxes`` reads of a letterbox."""

    @property
    def original(self) -> tuple[int, int]:
        """(height, width) of the picture before it was scaled."""

    @property
    def ratio(self) -> tuple[float, float]:
        """(y, x): scaled over original."""

    @property
    def pad(self) -> tuple[float, float]:
        """(x, y): the border at the left and at the top, in pixels of the network's input."""


def xyxy_to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Corners to centre, width and height; same unit."""
    return native.xyxy_to_xywh(boxes)


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """Centre, width and height to corners; same unit."""
    return native.xywh_to_xyxy(boxes)


def xywhn_to_xyxy(boxes: np.ndarray, size: tuple[float, float], pad: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Normalised centre form to corners in pixels of a picture of ``size``, then moved by ``pad``."""
    return native.xywhn_to_xyxy(boxes, _pair(size), _pair(pad))


def xyxy_to_xywhn(boxes: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """Corners in pixels to the centre form divided by the picture's width and height."""
    return native.xyxy_to_xywhn(boxes, _pair(size))


def clip_boxes(boxes: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """Corners in pixels, moved into the picture: x to 0..width, y to 0..height."""
    return native.clip_boxes(boxes, _pair(size))


def scale_boxes(boxes: np.ndarray, letterbox: LetterboxLike) -> np.ndarray:
    """Corners in the letterboxed picture to corners in the original one, clipped to it."""
    return native.scale_boxes(boxes, _pair(letterbox.original), _pair(letterbox.ratio), _pair(letterbox.pad))


def _pair(values: tuple[float, float]) -> tuple[float, float]:
    first, second = values
    return float(first), float(second)


def labels_to_xyxy(labels: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """Rows ``class, x1, y1, x2, y2`` in pixels from label rows ``[n, 5]`` (class, xywhn)."""
    labels = np.asarray(labels, np.float32).reshape(-1, 5)
    return np.concatenate((labels[:, :1], xywhn_to_xyxy(np.ascontiguousarray(labels[:, 1:]), size)), axis=1)
