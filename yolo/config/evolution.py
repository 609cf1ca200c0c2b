"""What ``--evolve`` may change, and how far: YOLOv5's table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PARENTS = 5
"""The best so many generations have children."""
PROBABILITY, SIGMA, FACTORS = 0.8, 0.2, (0.3, 3.0)
"""Of a value being changed; of the change; least and greatest factor."""
DIGITS = 5
"""Decimals that values are rounded to."""


class Range(NamedTuple):
    """How readily a hyperparameter mutates (0: never), and the values it may take."""

    gain: float
    low: float
    high: float


# Source: ultralytics/yolov5 v7.0, "Hyperparameter Evolution" (metadata of train.py: mutation scale 0-1, lower and
# upper limit), as its documentation gives it.
RANGES: Mapping[str, Range] = {
    "lr0": Range(1, 1e-5, 0.1),
    "lrf": Range(1, 0.01, 1.0),
    "momentum": Range(0.3, 0.6, 0.98),
    "weight_decay": Range(1, 0, 0.001),
    "warmup_epochs": Range(1, 0, 5),
    "warmup_momentum": Range(1, 0, 0.95),
    "warmup_bias_lr": Range(1, 0, 0.2),
    "box": Range(1, 0.02, 0.2),
    "cls": Range(1, 0.2, 4),
    "cls_pw": Range(1, 0.5, 2),
    "obj": Range(1, 0.2, 4),
    "obj_pw": Range(1, 0.5, 2),
    "iou_t": Range(0, 0.1, 0.7),
    "anchor_t": Range(1, 2, 8),
    "anchors": Range(2, 2, 10),
    "fl_gamma": Range(0, 0, 2),
    "hsv_h": Range(1, 0, 0.1),
    "hsv_s": Range(1, 0, 0.9),
    "hsv_v": Range(1, 0, 0.9),
    "degrees": Range(1, 0, 45),
    "translate": Range(1, 0, 0.9),
    "scale": Range(1, 0, 0.9),
    "shear": Range(1, 0, 10),
    "perspective": Range(0, 0, 0.001),
    "flipud": Range(1, 0, 1),
    "fliplr": Range(0, 0, 1),
    "mosaic": Range(1, 0, 1),
    "mixup": Range(1, 0, 1),
    "copy_paste": Range(1, 0, 1),
}
