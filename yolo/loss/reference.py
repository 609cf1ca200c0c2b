"""YOLOv5's detection loss, as sums with static shapes, for use inside graphs."""

from __future__ import annotations

import math

import oneflow as flow

from yolo.distributed.tensors import constant, full
from yolo.loss.matching import CELLS, Matches, match_level
from yolo.loss.settings import LossSettings

EPSILON = 1e-7
FOCAL_ALPHA = 0.25


def loss_terms(
    heads: list[flow.Tensor],
    labels: flow.Tensor,
    counts: flow.Tensor,
    anchors,
    strides: tuple[int, ...],
    settings: LossSettings,
) -> flow.Tensor:
    """Sums from which the loss is made: float32 [levels, 5].

    Columns: sum of 1 - CIoU over matches, number of matches, sum of objectness BCE, number of cells, sum of class BCE.
    As sums they add up over parts of a batch. heads: raw [B, A, h, w, 5+nc] a level; labels float32 [B, M, 5] and
    counts int32 [B] as in ``match_level``; anchors: float32 array [levels, A, 2] in pixels.
    """
    rows = []
    for head, anchor, stride in zip(heads, anchors, strides):
        cells = constant(anchor / stride, labels)
        matches = match_level(labels, counts, cells, tuple(head.shape[2:4]), settings.anchor_t)
        rows.append(_level_terms(head, matches, cells, settings))
    return flow.stack(rows, dim=0)


def combine_terms(terms, settings: LossSettings):
    """Give (box, obj, cls) from ``loss_terms``: means over matches and cells, balanced and weighted by the gains.

    terms: [levels, 5], a tensor or a NumPy array. With one class there is no class loss (its sums are zero).
    """
    box = obj = cls = 0.0
    for level, balance in enumerate(settings.balance):
        box_sum, matches, obj_sum, cells, cls_mean_sum = (terms[level][column] for column in range(5))
        some = matches.clip(1.0, None)
        box = box + box_sum / some
        obj = obj + obj_sum / cells * balance
        cls = cls + cls_mean_sum / some
    return box * settings.box, obj * settings.obj, cls * settings.cls


def _level_terms(head: flow.Tensor, matches: Matches, anchors: flow.Tensor, settings: LossSettings) -> flow.Tensor:
    batch, count, rows, columns, width = head.shape
    max_labels = matches.valid.shape[3]
    flat = head.reshape(batch, count * rows * columns, width)
    index = matches.cell.reshape(batch, -1)
    matched = flow.gather(flat, 1, index.unsqueeze(-1).expand(-1, -1, width))
    matched = matched.reshape(batch, CELLS, count, max_labels, width)

    xy = flow.sigmoid(matched[..., 0:2]) * 2.0 - 0.5
    wh = (flow.sigmoid(matched[..., 2:4]) * 2.0) ** 2 * anchors.reshape(1, 1, count, 1, 2)
    overlap = complete_iou(xy, wh, matches.xy, matches.wh)  # [B, 5, A, M]

    objectness = flat[..., 4]
    target = _objectness_target(overlap.detach(), matches, objectness.shape[1])
    obj = _bce(objectness, target, settings.obj_pw, settings.fl_gamma).sum()

    valid = matches.valid
    number = valid.sum()
    cls = _class_sum(matched[..., 5:], matches, settings) if width > 6 else number * 0.0
    return flow.stack([((1.0 - overlap) * valid).sum(), number, obj, number * 0.0 + float(objectness.numel()), cls])


def _objectness_target(overlap: flow.Tensor, matches: Matches, cells: int) -> flow.Tensor:
    """Write the matches' overlap into a map of cells, in YOLOv5's order; the last one written to a cell wins."""
    batch = overlap.shape[0]
    # One place past the map takes what is not valid.
    spare = full(matches.cell.shape, cells, overlap, flow.int64)
    index = flow.where(matches.valid > 0.5, matches.cell, spare)
    target = flow.scatter(
        full((batch, cells + 1), 0.0, overlap),
        1,
        index.reshape(batch, -1),
        overlap.clamp(0.0, None).reshape(batch, -1),
    )
    return target[:, :cells]


def _class_sum(scores: flow.Tensor, matches: Matches, settings: LossSettings) -> flow.Tensor:
    """Sum over valid matches of the class BCE's mean over classes."""
    classes = scores.shape[-1]
    positive, negative = 1.0 - 0.5 * settings.label_smoothing, 0.5 * settings.label_smoothing
    hot = flow.nn.functional.one_hot(matches.classes, classes).to(flow.float32)  # [B, M, nc]
    target = (hot * (positive - negative) + negative).unsqueeze(1).unsqueeze(2)
    bce = _bce(scores, target.expand(-1, CELLS, scores.shape[2], -1, -1), settings.cls_pw, settings.fl_gamma)
    return (bce.sum(dim=-1) / classes * matches.valid).sum()


def _bce(logits: flow.Tensor, target: flow.Tensor, positive_weight: float, gamma: float) -> flow.Tensor:
    """Elementwise binary cross-entropy on logits, focal when gamma > 0 (Lin et al. 2017, alpha 0.25).

    max(x, 0) - x*t + log(1 + exp(-|x|)), with a weight on the positive part; it does not overflow.
    """
    weight = (positive_weight - 1.0) * target + 1.0
    log_term = flow.log1p(flow.exp(-flow.abs(logits))) + flow.relu(-logits)
    loss = (1.0 - target) * logits + weight * log_term
    if gamma <= 0:
        return loss
    probability = flow.sigmoid(logits)
    right = target * probability + (1.0 - target) * (1.0 - probability)
    alpha = target * FOCAL_ALPHA + (1.0 - target) * (1.0 - FOCAL_ALPHA)
    # 1 - right of a saturated logit is 0, and the slope of 0**gamma is infinite for gamma < 1.
    return loss * alpha * (1.0 - right).clamp(EPSILON, None) ** gamma


def complete_iou(xy: flow.Tensor, wh: flow.Tensor, target_xy: flow.Tensor, target_wh: flow.Tensor) -> flow.Tensor:
    """Complete IoU of boxes as centre and size, [..., 2] each (Zheng et al. 2020); alpha is not differentiated."""
    low, high = xy - wh / 2, xy + wh / 2
    target_low, target_high = target_xy - target_wh / 2, target_xy + target_wh / 2
    side = (flow.minimum(high, target_high) - flow.maximum(low, target_low)).clamp(0.0, None)
    inter = side[..., 0] * side[..., 1]
    w, h = wh[..., 0], wh[..., 1]
    target_w, target_h = target_wh[..., 0], target_wh[..., 1]
    iou = inter / (w * h + target_w * target_h - inter + EPSILON)
    hull = flow.maximum(high, target_high) - flow.minimum(low, target_low)
    diagonal = hull[..., 0] ** 2 + hull[..., 1] ** 2 + EPSILON
    centre = ((target_xy - xy) ** 2).sum(dim=-1)
    turn = flow.atan(target_w / (target_h + EPSILON)) - flow.atan(w / (h + EPSILON))
    aspect = (4 / math.pi**2) * turn**2
    alpha = (aspect / (aspect - iou + (1 + EPSILON))).detach()
    return iou - (centre / diagonal + aspect * alpha)
