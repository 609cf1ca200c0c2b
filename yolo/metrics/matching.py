"""Which detections are right, at each overlap threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from yolo.ops import pairwise_iou


def iou_thresholds() -> NDArray[np.float32]:
    """COCO's ten thresholds 0.50, 0.55, …, 0.95 (float32)."""
    return np.linspace(0.5, 0.95, 10, dtype=np.float32)


def check_rows(detections: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both as float32 ``[n, 6]`` and ``[m, 5]``; ValueError for other shapes or a NaN confidence."""
    detections = _rows(detections, 6, "detections")
    labels = _rows(labels, 5, "labels")
    if np.isnan(detections[:, 4]).any():
        raise ValueError("detections hold a confidence that is not a number")
    return detections, labels


def match_detections(
    detections: ArrayLike, labels: ArrayLike, thresholds: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """Whether each detection finds a label, ``[n, t]``, in the order the detections are given in.

    ``detections [n, 6]`` are ``x1, y1, x2, y2, confidence, class`` and ``labels [m, 5]`` are
    ``class, x1, y1, x2, y2``, both in pixels of one image; ``thresholds [t]`` default to 0.50:0.05:0.95.

    YOLOv5's rule: of the pairs of one class with IoU ≥ threshold, a detection keeps its best label (of equal
    ones the last), and a label that several detections keep goes to the most confident of them (of equally
    confident ones the first). A detection that loses its label does not try the next.
    """
    detections, labels = check_rows(detections, labels)
    thresholds = iou_thresholds() if thresholds is None else np.asarray(thresholds, np.float32)
    correct = np.zeros((len(detections), len(thresholds)), bool)
    if not len(detections) or not len(labels):
        return correct
    order = np.argsort(-detections[:, 4], kind="stable")
    ranked = detections[order]
    # Negative where the classes differ, so that no threshold, not even 0, lets such a pair through.
    overlap = np.nan_to_num(pairwise_iou(ranked[:, :4], labels[:, 1:]))  # a box with NaN meets nothing
    iou = np.where(ranked[:, 5:6] == labels[None, :, 0], overlap, -1)
    label = iou.shape[1] - 1 - iou[:, ::-1].argmax(1)
    best = iou[np.arange(len(iou)), label]
    rank, column = np.nonzero((best[:, None] >= thresholds) & (best[:, None] >= 0))
    # The pairs run by rank, so the first of each (label, threshold) is the most confident detection.
    _, first = np.unique(label[rank] * len(thresholds) + column, return_index=True)
    correct[order[rank[first]], column[first]] = True
    return correct


def _rows(values: ArrayLike, columns: int, name: str) -> NDArray[np.float32]:
    rows = np.asarray(values, np.float32)
    if rows.size == 0:
        return np.zeros((0, columns), np.float32)
    if rows.ndim != 2 or rows.shape[1] != columns:
        raise ValueError(f"{name} must be [n, {columns}], not {list(rows.shape)}")
    return rows
