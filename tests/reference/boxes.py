"""Box conversions in plain NumPy, float32: the oracle of ``yolo.ops.boxes``."""

from __future__ import annotations

import numpy as np

F = np.float32


def xyxy_to_xywh(boxes):
    return np.concatenate([(boxes[..., :2] + boxes[..., 2:]) / F(2), boxes[..., 2:] - boxes[..., :2]], -1)


def xywh_to_xyxy(boxes):
    half = boxes[..., 2:] / F(2)
    return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], -1)


def xywhn_to_xyxy(boxes, size):
    return xywh_to_xyxy(boxes) * np.array([size[1], size[0]] * 2, F)


def xyxy_to_xywhn(boxes, size):
    return xyxy_to_xywh(boxes) / np.array([size[1], size[0]] * 2, F)


def clip_boxes(boxes, size):
    return np.clip(boxes, F(0), np.array([size[1], size[0]] * 2, F))


def scale_boxes(boxes, letterbox):
    ratio = np.array([letterbox.ratio[1], letterbox.ratio[0]] * 2, F)
    return clip_boxes((boxes - np.array([*letterbox.pad] * 2, F)) / ratio, letterbox.original)
