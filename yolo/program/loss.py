"""YOLOv5's loss as a compiled operator: the formulas of ``yolo.loss`` on heads as convolutions give them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from yolo import native
from yolo.loss.settings import LossSettings
from yolo.program.detection import levels_of

Shape = tuple[int, ...]


def detection_loss(
    heads: Sequence[Shape], anchors: np.ndarray, strides: Sequence[int], settings: LossSettings
) -> native.DetectionLoss:
    """The loss of raw heads of these shapes, ``[B, na * (5 + nc), h, w]``.

    anchors: float32 [nl, na, 2] in pixels; the gains of ``settings`` are scaled already.
    """
    classes = heads[0][1] // anchors.shape[1] - 5
    return native.DetectionLoss(levels_of(heads, anchors, strides), classes, **dataclasses.asdict(settings))
