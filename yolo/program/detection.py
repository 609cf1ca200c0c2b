"""The operators at a detector's end: decoding and non-maximum suppression, and the loss of what it is given."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from yolo import native

if TYPE_CHECKING:
    from yolo.loss.settings import LossSettings

Shape = tuple[int, ...]

MOST_CANDIDATES = 30_000
"""The best of so many boxes enter the suppression (YOLOv5's ``max_nms``), so no more detections come out of it."""

logger = logging.getLogger("yolo")


def most_detections(asked: int) -> int:
    """How many detections an image may have; says so where that is less than was ``asked`` for."""
    if asked > MOST_CANDIDATES:
        reason = "so many candidates enter the suppression, as in YOLOv5"
        logger.warning("--max-det %d: using %d, %s", asked, MOST_CANDIDATES, reason)
    return min(asked, MOST_CANDIDATES)


@dataclasses.dataclass(frozen=True)
class NmsSettings:
    """What non-maximum suppression keeps.

    conf, iou: thresholds; max_det: most detections an image; classes: class numbers to keep (none given: all);
    agnostic: boxes of different classes suppress one another; multi_label: a box may count for several classes.
    """

    conf: float = 0.25
    iou: float = 0.45
    max_det: int = 1000
    classes: tuple[int, ...] = ()
    agnostic: bool = False
    multi_label: bool = False
    max_candidates: int = MOST_CANDIDATES

    def __post_init__(self) -> None:
        # No more can be left, and all of them have their place in memory.
        object.__setattr__(self, "max_det", min(self.max_det, self.max_candidates))

    def native(self, classes: int) -> native.NmsSettings:
        """As the compiled operators take it, for a network of so many classes."""
        wanted = [int(number in self.classes) for number in range(classes)] if self.classes else []
        return native.NmsSettings(
            conf=self.conf,
            iou=self.iou,
            max_det=self.max_det,
            max_candidates=self.max_candidates,
            agnostic=self.agnostic,
            multi_label=self.multi_label,
            wanted=wanted,
        )


def detection_head(
    heads: Sequence[Shape],
    anchors: np.ndarray,
    strides: Sequence[int],
    settings: NmsSettings,
) -> native.DetectionHead:
    """Raw heads of these shapes, ``[B, na * (5 + nc), h, w]``, to detections float32 [B, max_det, 6] and int32 [B].

    anchors: float32 [nl, na, 2] in pixels.
    """
    classes = heads[0][1] // anchors.shape[1] - 5
    levels = levels_of(heads, anchors, strides)
    return native.DetectionHead(levels, classes, heads[0][0], settings.native(classes))


def detection_loss(
    heads: Sequence[Shape], anchors: np.ndarray, strides: Sequence[int], settings: LossSettings
) -> native.DetectionLoss:
    """The loss of such heads by the formulas of ``yolo.loss``; the gains of ``settings`` are scaled already."""
    classes = heads[0][1] // anchors.shape[1] - 5
    return native.DetectionLoss(levels_of(heads, anchors, strides), classes, **dataclasses.asdict(settings))


def levels_of(
    heads: Sequence[Shape], anchors: np.ndarray, strides: Sequence[int], scale: float = 1.0, mirror: float = 0.0
) -> list[native.Level]:
    """The levels' grids, strides and anchors, as the compiled operators take them.

    Of a network that saw the image ``scale`` times as large and, where ``mirror`` is its unscaled width, mirrored.
    """
    return [
        native.Level(
            height=shape[2],
            width=shape[3],
            stride=float(stride),
            anchors=level.reshape(-1).tolist(),
            scale=scale,
            mirror=float(mirror),
        )
        for shape, level, stride in zip(heads, anchors, strides)
    ]


def suppression(predictions: Shape, settings: NmsSettings) -> native.Nms:
    """Decoded predictions of this shape, ``[B, N, 5 + nc]``, to detections as ``detection_head`` gives them."""
    batch, rows, columns = predictions
    return native.Nms(batch, rows, columns - 5, settings.native(columns - 5))
