"""Overlap of boxes."""

from __future__ import annotations

import numpy as np

from yolo import native


def pairwise_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The overlap of every box of ``a`` with every box of ``b``, 0 to 1, float32 ``[n, m]``.

    ``a`` is float32 ``[n, 4]`` and ``b`` float32 ``[m, 4]``, both xyxy in one unit (pixels, cells or normalised). A box
    with a negative side meets nothing; NaN and infinity give NaN or 0 for their own pairs only.

    Raises ValueError for a wrong shape or type, and RuntimeSetupError where yolo._native is not built.
    """
    return native.pairwise_iou(a, b)
