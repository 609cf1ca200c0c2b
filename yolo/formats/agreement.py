"""How far two sets of outputs, and the detections made of them, are apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from yolo import ops
from yolo.formats.portable import DECODED, HEADS
from yolo.program.detection import NmsSettings

Floats = NDArray[np.float32]
NEAR_IOU = 0.02
"""By so much an overlap may change where boxes do in their last digits: of high classes they are moved by hundreds of
thousands of pixels, where a float is a sixteenth of a pixel."""
UNITS = {
    HEADS: "raw numbers: shares of the largest of a level, where that is above 1",
    DECODED: "boxes: shares of the longer side; scores: absolute",
}
"""Of the differences, by what comes out; those of detections are as those of predictions."""


@dataclasses.dataclass(frozen=True)
class Agreement:
    """difference: the largest one, in ``UNITS``; ours, theirs: detections; at_threshold: those that only one side has
    because they lie at a threshold, within the rounding; different: those that only one side has besides."""

    difference: float = 0.0
    ours: int = 0
    theirs: int = 0
    at_threshold: int = 0
    different: int = 0

    def __add__(self, other: Agreement) -> Agreement:
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)}
        return Agreement(**{**sums, "difference": float(np.fmax(self.difference, other.difference))})


def decoded(heads: Sequence[Floats], anchors: Floats, strides: Sequence[int]) -> Floats:
    """Predictions ``[B, N, 5 + nc]`` of raw heads ``[B, na * (5 + nc), h, w]``; see ``yolo.models.decode``."""
    levels = []
    for head, level, stride in zip(heads, anchors, strides):
        batch, channels, height, width = head.shape
        raw = head.reshape(batch, len(level), channels // len(level), height * width).transpose(0, 1, 3, 2)
        with np.errstate(over="ignore"):
            t = 1 / (1 + np.exp(-raw))
        y, x = np.divmod(np.arange(height * width), width)
        t[..., :2] = (2 * t[..., :2] - 0.5 + np.stack((x, y), -1).astype(np.float32)) * np.float32(stride)
        t[..., 2:4] = (2 * t[..., 2:4]) ** 2 * level.reshape(1, -1, 1, 2)
        levels.append(t.reshape(batch, -1, t.shape[-1]))
    return np.concatenate(levels, axis=1)


def difference_of_heads(ours: Sequence[Floats], theirs: Sequence[Floats]) -> float:
    """The largest difference as a share of the level's largest number, where that is above 1.

    Infinite where shapes differ.
    """
    if [a.shape for a in ours] != [b.shape for b in theirs]:
        return np.inf
    return max(_largest(np.abs(a - b)) / max(1.0, _largest(np.abs(a))) for a, b in zip(ours, theirs))


def difference_of_predictions(ours: Floats, theirs: Floats, side: int) -> float:
    """The largest difference: of boxes as a share of ``side`` pixels, of scores absolute."""
    if ours.shape != theirs.shape:
        return np.inf
    apart = np.abs(ours - theirs)
    return max(_largest(apart[..., :4]) / side, _largest(apart[..., 4:]))


def _largest(values: NDArray) -> float:
    """Infinite where one of them is no number."""
    return float(np.max(np.nan_to_num(values, nan=np.inf), initial=0.0))


def compare_detections(ours: Floats, theirs: Floats, settings: NmsSettings, tolerance: float, side: int) -> Agreement:
    """Two sets of detections of one image of ``side`` pixels, ``[n, 6]``; same are those of one class whose scores and
    boxes differ by at most ``tolerance`` (of boxes: times ``side``)."""
    left, largest = list(range(len(theirs))), 0.0
    alone = []
    scale = np.array([1 / side] * 4 + [1], np.float32)
    for row in ours:
        gaps = np.abs((theirs[left] - row)[:, :5] * scale).max(axis=1) if left else np.zeros(0)
        fits = np.flatnonzero((theirs[left, 5] == row[5]) & (gaps <= tolerance)) if left else ()
        if not len(fits):
            alone.append(row)
            continue
        nearest = fits[np.argmin(gaps[fits])]
        largest = max(largest, float(gaps[nearest]))
        del left[nearest]
    single = np.array([*alone, *theirs[left]], np.float32).reshape(-1, 6)
    everything = np.concatenate([ours, theirs[left]])
    # Where a list is full, its last score is the threshold.
    least = max([settings.conf, *(float(rows[:, 4].min()) for rows in (ours, theirs) if len(rows) >= settings.max_det)])
    near = sum(
        row[4] - least <= 2 * tolerance or _beside_another(row, single, everything, settings, tolerance * side)
        for row in single
    )
    return Agreement(largest, len(ours), len(theirs), int(near), len(single) - int(near))


def _beside_another(row: Floats, single: Floats, everything: Floats, settings: NmsSettings, distance: float) -> bool:
    """Whether rounding decides about one of ``single`` by what lies beside it.

    Its overlap with another is the threshold's, or it suppresses one of ``single``, or is suppressed by it; or another
    class of its box has the same score.
    """
    overlaps = _overlaps(row, everything, settings)
    if (np.abs(overlaps - settings.iou) <= NEAR_IOU).any():
        return True
    if ((_overlaps(row, single, settings) > settings.iou) & (single != row).any(axis=1)).any():
        return True
    same_box = np.abs(single[:, :4] - row[:4]).max(axis=1) <= distance
    return bool((same_box & (single[:, 5] != row[5])).any())


def _overlaps(row: Floats, others: Floats, settings: NmsSettings) -> Floats:
    """IoU with each of ``others`` that it could suppress, 0 with those of other classes."""
    overlaps = ops.pairwise_iou(row[None, :4], np.ascontiguousarray(others[:, :4]))[0]
    return overlaps if settings.agnostic else np.where(others[:, 5] == row[5], overlaps, 0)
