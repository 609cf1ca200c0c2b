"""Non-maximum suppression."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from yolo.ops._native import native


def nms(
    predictions: np.ndarray,
    *,
    conf: float,
    iou: float,
    max_det: int = 300,
    classes: Iterable[int] | None = None,
    agnostic: bool = False,
    multi_label: bool = False,
    max_candidates: int = 30_000,
) -> tuple[np.ndarray, np.ndarray]:
    """The detections of every image, best first, and how many each image has.

    ``predictions`` is float32 ``[B, N, 5 + nc]``: x, y, w, h in pixels, objectness, one score per class, all after
    the sigmoid. Returns float32 ``[B, max_det, 6]`` (x1, y1, x2, y2, score, class; zeros after the count) and int32
    ``[B]``.

    A row whose objectness is greater than ``conf`` makes a candidate for its best class, or for every class with
    ``multi_label``; the score is objectness times class score and must be greater than ``conf`` too. ``classes``
    keeps only those numbers (numbers the model does not have match nothing). The ``max_candidates`` best go on;
    equal scores go by row, then by class. A candidate is dropped when its IoU with a better kept one of its class
    (of any class with ``agnostic``) is greater than ``iou``. There is no time limit.

    A row with NaN or infinity in its box or objectness, a box too large for float32 and a class score that is no
    finite number never come out. A box with a negative width or height has IoU 0 with all others: it comes out as
    it is, suppresses nothing and is not suppressed.

    Raises ValueError, naming the argument, for a wrong shape, type or range (``conf`` and ``iou`` are 0 to 1).
    Formula: YOLOv5's, which tells classes apart by adding class x 7680 to the coordinates and compares IoU as
    torchvision's nms does.
    """
    wanted = None if classes is None else [int(number) for number in classes]
    return native.nms(predictions, conf, iou, max_det, wanted, bool(agnostic), bool(multi_label), max_candidates)
