"""Overlap of boxes."""

from __future__ import annotations

from typing import Literal

import numpy as np

from yolo.ops._native import native

IouKind = Literal["iou", "giou", "diou", "ciou"]


def pairwise_iou(a: np.ndarray, b: np.ndarray, kind: IouKind = "iou") -> np.ndarray:
    """The overlap of every box of ``a`` with every box of ``b``, float32 ``[n, m]``.

    ``a`` is float32 ``[n, 4]`` and ``b`` float32 ``[m, 4]``, both xyxy in one unit (pixels, cells or normalised).
    "iou" is 0 to 1; "giou" (Rezatofighi et al. 2019), "diou" and "ciou" (Zheng et al. 2020) go below 0 as boxes part.
    CIoU's trade-off is v / (v - iou + 1 + eps), eps = 1e-7 as in YOLOv5. A box with a negative side meets nothing
    (its IoU is 0); NaN and infinity give NaN or 0 for their own pairs only.

    Raises ValueError for a wrong shape, type or kind.
    """
    return native.pairwise_iou(a, b, kind)
