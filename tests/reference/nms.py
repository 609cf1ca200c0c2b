"""Non-maximum suppression as YOLOv5's public formula says it, with nothing clever: the oracle of the compiled one."""

from __future__ import annotations

import numpy as np


def candidates(image: np.ndarray, conf: float, multi_label: bool) -> list[tuple[float, int, int]]:
    """(score, row, class) of every candidate, best first; equal scores by row, then by class."""
    found = []
    for row, values in enumerate(image):
        box = corners(values)
        if not (values[4] > np.float32(conf)) or not np.isfinite(box).all():
            continue
        scores = values[4] * values[5:]
        good = [c for c in range(len(scores)) if np.isfinite(scores[c]) and scores[c] > np.float32(conf)]
        if good and not multi_label:
            good = [max(good, key=lambda c: (scores[c], -c))]
        found += [(float(scores[c]), row, c) for c in good]
    return sorted(found, key=lambda item: (-item[0], item[1], item[2]))


def corners(values: np.ndarray) -> np.ndarray:
    x, y, w, h = values[:4]
    two = np.float32(2)
    return np.array([x - w / two, y - h / two, x + w / two, y + h / two], np.float32)


def iou(a: np.ndarray, b: np.ndarray) -> np.float32:
    zero = np.float32(0)
    w = max(zero, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(zero, min(a[3], b[3]) - max(a[1], b[1]))
    inter = w * h
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union


def nms_image(image, *, conf, iou_threshold, max_det, classes, agnostic, multi_label, max_candidates):
    found = candidates(image, conf, multi_label)
    if classes is not None:
        found = [item for item in found if item[2] in classes]
    kept, rows = [], []
    for score, row, c in found[:max_candidates]:
        box = corners(image[row])
        moved = box if agnostic else box + np.float32(7680 * c)
        if any(float(iou(other, moved)) > iou_threshold for other in kept):
            continue
        kept.append(moved)
        rows.append([*box, score, c])
    return np.array(rows, np.float32).reshape(-1, 6)[:max_det]


def nms(
    predictions,
    *,
    conf,
    iou,
    max_det=300,
    classes=None,
    agnostic=False,
    multi_label=False,
    max_candidates=30_000,
):
    detections = np.zeros((len(predictions), max_det, 6), np.float32)
    counts = np.zeros(len(predictions), np.int32)
    with np.errstate(all="ignore"):
        for i, image in enumerate(predictions):
            rows = nms_image(
                image,
                conf=conf,
                iou_threshold=iou,
                max_det=max_det,
                classes=classes,
                agnostic=agnostic,
                multi_label=multi_label,
                max_candidates=max_candidates,
            )
            detections[i, : len(rows)] = rows
            counts[i] = len(rows)
    return detections, counts
