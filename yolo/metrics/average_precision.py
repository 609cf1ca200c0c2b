"""Precision, recall, F1 and average precision from matched detections.

The definitions are COCO's (101-point interpolated average precision over the precision envelope, Lin et al.,
2014) with YOLOv5's habits: P, R and F1 are read at the one confidence where the mean F1 is best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CURVE_POINTS = 1000


@dataclass(frozen=True)
class DetectionMetrics:
    """What a validation measured. ``k`` classes have labels; only they count in the means.

    Scalars are means over these classes, 0 when there are none. ``px`` is the axis (0…1) of all curves:
    confidence for ``p_curve``, ``r_curve`` and ``f1_curve``, recall for ``pr_curve`` (IoU 0.5).
    """

    precision: float
    recall: float
    f1: float
    map50: float
    map50_95: float
    classes: NDArray[np.int64]  # [k], ascending
    counts: NDArray[np.int64]  # [k], labels of each class
    p: Floats  # [k], at ``confidence``, IoU 0.5; so r and f1
    r: Floats
    f1_per_class: Floats
    ap50: Floats  # [k]
    ap: Floats  # [k], mean over IoU 0.50:0.05:0.95
    ap_by_iou: Floats  # [k, 10]
    confidence: float  # where the smoothed mean F1 is best
    px: Floats  # [1000]
    p_curve: Floats  # [k, 1000]; so the others
    r_curve: Floats
    f1_curve: Floats
    pr_curve: Floats
    num_classes: int
    images: int

    @property
    def fitness(self) -> float:
        """What training maximises: 0.1·mAP50 + 0.9·mAP50-95."""
        return 0.1 * self.map50 + 0.9 * self.map50_95

    @property
    def labels(self) -> int:
        """The number of labels of all classes."""
        return int(self.counts.sum())

    @property
    def undetected(self) -> NDArray[np.bool_]:
        """Classes ``[k]`` of which no detection reaches ``confidence`` although there are weaker ones.

        Their P counts 1, as in YOLOv5, beside an R of 0. A class without any detection has P 0.
        """
        return (self.p == 1) & (self.r == 0)

    def ap_of_every_class(self) -> Floats:
        """AP50-95 ``[num_classes]``; classes without labels get the mean (image weights need every class)."""
        ap = np.full(self.num_classes, self.map50_95)
        ap[self.classes] = self.ap
        return ap


def detection_metrics(
    correct: NDArray[np.bool_],
    confidence: NDArray[np.float32],
    predicted: NDArray[np.int64],
    actual: NDArray[np.int64],
    *,
    num_classes: int,
    images: int = 0,
) -> DetectionMetrics:
    """Metrics from matches ``correct [n, 10]``.

    ``confidence [n]`` and ``predicted [n]`` (class) are the detections', ``actual [m]`` the labels' classes.
    Equal confidences keep the order they are given in.
    """
    order = np.argsort(-confidence, kind="stable")
    correct, confidence, predicted = correct[order], confidence[order], predicted[order]
    classes, counts = np.unique(actual, return_counts=True)
    curves = np.zeros((3, len(classes), CURVE_POINTS))
    ap = np.zeros((len(classes), correct.shape[1]))
    for row, (category, count) in enumerate(zip(classes, counts)):
        mine = predicted == category
        if mine.any():
            curves[:, row], ap[row] = _class_curves(correct[mine], confidence[mine], int(count))
    return _metrics(classes, counts, curves, ap, num_classes, images)


def precision_note(metrics: DetectionMetrics) -> str:
    """What lifts the mean P without a detection behind it, in a sentence; nothing where there is no such class."""
    count = int(metrics.undetected.sum())
    if not count:
        return ""
    classes = f"{count} of {len(metrics.classes)} classes"
    return f"P counts 1 for {classes} without a detection above confidence {metrics.confidence:.3f}, as in YOLOv5"


def _class_curves(correct: NDArray[np.bool_], confidence: NDArray[np.float32], labels: int) -> tuple[Floats, Floats]:
    """One class's curves ``[3, 1000]`` and AP ``[t]``: P and R by confidence, P by recall."""
    px = np.linspace(0, 1, CURVE_POINTS)
    recall, precision = recall_and_precision(correct, labels)
    score = -confidence.astype(np.float64)  # np.interp wants an ascending axis
    curves = (
        np.interp(-px, score, precision[:, 0], left=1),
        np.interp(-px, score, recall[:, 0], left=0),
        np.interp(px, *_envelope(recall[:, 0], precision[:, 0])),
    )
    return np.stack(curves), average_precision(recall, precision)


def _metrics(
    classes: NDArray[np.int64],
    counts: NDArray[np.int64],
    curves: Floats,
    ap: Floats,
    num_classes: int,
    images: int,
) -> DetectionMetrics:
    p_curve, r_curve, pr_curve = curves
    f1_curve = 2 * p_curve * r_curve / np.maximum(p_curve + r_curve, 1e-16)
    px = np.linspace(0, 1, CURVE_POINTS)
    best = int(smooth(f1_curve.mean(0)).argmax()) if len(classes) else 0
    p, r, f1 = (curve[:, best] for curve in (p_curve, r_curve, f1_curve))
    return DetectionMetrics(
        precision=_mean(p),
        recall=_mean(r),
        f1=_mean(f1),
        map50=_mean(ap[:, 0]),
        map50_95=_mean(ap),
        classes=classes,
        counts=counts,
        p=p,
        r=r,
        f1_per_class=f1,
        ap50=ap[:, 0],
        ap=ap.mean(1),
        ap_by_iou=ap,
        confidence=float(px[best]),
        px=px,
        p_curve=p_curve,
        r_curve=r_curve,
        f1_curve=f1_curve,
        pr_curve=pr_curve,
        num_classes=num_classes,
        images=images,
    )


def recall_and_precision(correct: NDArray[np.bool_], labels: int) -> tuple[Floats, Floats]:
    """Recall and precision ``[n, t]`` after each detection of ``correct [n, t]``, most confident first."""
    hits = correct.cumsum(0)
    seen = np.arange(1, len(correct) + 1)[:, None]
    return hits / labels, hits / seen


def average_precision(recall: Floats, precision: Floats) -> Floats:
    """Area ``[t]`` under each column's precision envelope, on 101 recall points joined by straight lines.

    ``recall`` and ``precision`` are ``[n, t]``, most confident detection first.
    """
    points = np.linspace(0, 1, 101)
    columns = zip(recall.T, precision.T)
    return np.array([np.trapz(np.interp(points, *_envelope(r, p)), points) for r, p in columns])


def smooth(curve: Floats, fraction: float = 0.1) -> Floats:
    """``curve [n]`` under a box filter ``fraction`` of its length wide, the ends held."""
    width = round(len(curve) * fraction * 2) // 2 + 1
    padded = np.pad(curve, width // 2, mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def _envelope(recall: Floats, precision: Floats) -> tuple[Floats, Floats]:
    """Recall from 0 to 1, and at each the best precision at that recall or beyond."""
    precision = np.concatenate(((1.0,), precision, (0.0,)))
    return np.concatenate(((0.0,), recall, (1.0,))), np.maximum.accumulate(precision[::-1])[::-1]


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else 0.0
