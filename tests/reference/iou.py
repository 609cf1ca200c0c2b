"""Overlaps from their formulas, in double precision: the oracle of ``yolo.ops.pairwise_iou`` and of complete IoU."""

from __future__ import annotations

import numpy as np

EPS = 1e-7


def pairwise_iou(a: np.ndarray, b: np.ndarray, kind: str = "iou") -> np.ndarray:
    a = a.astype(np.float64)[:, None, :]
    b = b.astype(np.float64)[None, :, :]
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    inter = sides.prod(-1)
    size_a, size_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    union = size_a.prod(-1) + size_b.prod(-1) - inter + EPS
    iou = inter / union
    hull = np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])
    centres = (b[..., :2] + b[..., 2:] - a[..., :2] - a[..., 2:]) / 2
    diou = iou - (centres**2).sum(-1) / ((hull**2).sum(-1) + EPS)
    v = 4 / np.pi**2 * (angle(size_b) - angle(size_a)) ** 2
    ciou = diou - v * v / (v - iou + 1 + EPS)
    return {"iou": iou, "ciou": ciou}[kind]


def angle(size: np.ndarray) -> np.ndarray:
    return np.arctan(size[..., 0] / (size[..., 1] + EPS))
