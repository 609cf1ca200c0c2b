"""The detection loss from its formulas, in double precision, one match at a time: the oracle of ``yolo.loss``."""

from __future__ import annotations

import dataclasses

import numpy as np

from tests.reference.assign import assign_level

EPS = 1e-7


def sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))


def softplus(x):
    """log(1 + exp(x)) that neither overflows nor loses small values."""
    return np.logaddexp(0.0, x)


def bce(logit, target, positive_weight, gamma):
    """-(w·t·log p + (1 - t)·log(1 - p)), times 0.25 or 0.75 and (1 - p_right)^gamma when gamma > 0."""
    loss = positive_weight * target * softplus(-logit) + (1 - target) * softplus(logit)
    if gamma > 0:
        p = sigmoid(logit)
        loss = loss * (0.25 * target + 0.75 * (1 - target)) * (target * (1 - p) + (1 - target) * p) ** gamma
    return loss


def complete_iou(box, other, alpha=None):
    """(CIoU, alpha) of two boxes as x, y, w, h; a given alpha is a constant."""
    (x, y, w, h), (ox, oy, ow, oh) = box, other
    across = max(0.0, min(x + w / 2, ox + ow / 2) - max(x - w / 2, ox - ow / 2))
    down = max(0.0, min(y + h / 2, oy + oh / 2) - max(y - h / 2, oy - oh / 2))
    iou = across * down / (w * h + ow * oh - across * down + EPS)
    hull_w = max(x + w / 2, ox + ow / 2) - min(x - w / 2, ox - ow / 2)
    hull_h = max(y + h / 2, oy + oh / 2) - min(y - h / 2, oy - oh / 2)
    distance = ((x - ox) ** 2 + (y - oy) ** 2) / (hull_w**2 + hull_h**2 + EPS)
    v = 4 / np.pi**2 * (np.arctan(ow / (oh + EPS)) - np.arctan(w / (h + EPS))) ** 2
    alpha = v / (1 - iou + v + EPS) if alpha is None else alpha
    return iou - distance - alpha * v, alpha


@dataclasses.dataclass
class Level:
    """One level's labels matched, and what its loss takes for constants: alphas and objectness targets."""

    cells: np.ndarray
    boxes: np.ndarray
    anchors: np.ndarray
    alphas: list | None = None
    objectness: np.ndarray | None = None

    def terms(self, head, settings):
        """The five sums of ``yolo.loss.reference.loss_terms``; the first call settles the constants."""
        frozen = self.alphas is not None
        alphas, box_sum, cls_sum = [], 0.0, 0.0
        target = np.zeros(head.shape[:4])
        for k, ((image, anchor, row, column, number), label) in enumerate(zip(self.cells, self.boxes)):
            raw = head[image, anchor, row, column]
            box = [*(2 * sigmoid(raw[:2]) - 0.5), *((2 * sigmoid(raw[2:4])) ** 2 * self.anchors[anchor])]
            ciou, alpha = complete_iou(box, label.astype(np.float64), self.alphas[k] if frozen else None)
            alphas.append(alpha)
            box_sum += 1 - ciou
            target[image, anchor, row, column] = max(ciou, 0.0)
            cls_sum += self._class_mean(raw[5:], number, settings)
        if not frozen:
            self.alphas, self.objectness = alphas, target
        obj_sum = bce(head[..., 4], self.objectness, settings.obj_pw, settings.fl_gamma).sum()
        return np.array([box_sum, len(self.cells), obj_sum, head[..., 4].size, cls_sum])

    @staticmethod
    def _class_mean(scores, number, settings):
        if len(scores) == 1:
            return 0.0
        wanted = np.full(len(scores), 0.5 * settings.label_smoothing)
        wanted[number] = 1 - 0.5 * settings.label_smoothing
        return bce(scores, wanted, settings.cls_pw, settings.fl_gamma).mean()


class Loss:
    """The loss of one set of labels, as a function of the heads.

    labels float32 [B, M, 5], counts int [B]; anchors [levels, A, 2] in pixels; heads float64 [B, A, h, w, 5+nc].
    """

    def __init__(self, labels, counts, anchors, strides, grids, settings) -> None:
        self.settings = settings
        self.levels = []
        for anchor, stride, grid in zip(anchors, strides, grids):
            cells = (anchor / stride).astype(np.float32)
            self.levels.append(Level(*assign_level(labels, counts, cells, grid, settings.anchor_t), cells))

    def terms(self, heads):
        """float64 [levels, 5]."""
        return np.stack([level.terms(np.float64(head), self.settings) for level, head in zip(self.levels, heads)])

    def parts(self, heads):
        """float64 (box, obj, cls), weighted."""
        box = obj = cls = 0.0
        for (box_sum, matches, obj_sum, cells, cls_sum), balance in zip(self.terms(heads), self.settings.balance):
            if matches:
                box += box_sum / matches
                cls += cls_sum / matches
            obj += balance * obj_sum / cells
        return np.array([box * self.settings.box, obj * self.settings.obj, cls * self.settings.cls])

    def total(self, heads):
        """The number that is differentiated: the parts' sum times the number of images."""
        return self.parts(heads).sum() * len(heads[0])
