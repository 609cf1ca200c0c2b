"""The detection loss with its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from yolo.ops._native import native


class LossSettingsLike(Protocol):
    """What ``detection_loss`` reads of ``LossSettings``. Gains are already scaled."""

    @property
    def box(self) -> float:
        """Gain of the box loss."""

    @property
    def obj(self) -> float:
        """Gain of the objectness loss."""

    @property
    def cls(self) -> float:
        """Gain of the class loss."""

    @property
    def cls_pw(self) -> float:
        """Weight of the positive part of the class BCE."""

    @property
    def obj_pw(self) -> float:
        """Weight of the positive part of the objectness BCE."""

    @property
    def anchor_t(self) -> float:
        """The largest ratio of label and anchor sides that still matches."""

    @property
    def fl_gamma(self) -> float:
        """Focal loss's exponent; 0 for none."""

    @property
    def label_smoothing(self) -> float:
        """0 to 1."""

    @property
    def balance(self) -> Sequence[float]:
        """The objectness loss's weight, one a level."""


def detection_loss(
    heads: Sequence[np.ndarray],
    labels: np.ndarray,
    counts: np.ndarray,
    anchors_in_cells: np.ndarray,
    settings: LossSettingsLike,
    gradients: bool | Sequence[np.ndarray] = True,
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray] | None]:
    """The loss of ``yolo.loss`` and its gradient: (terms, parts, gradients or None).

    ``heads`` are raw, float32 ``[B, A, 5 + nc, h, w]`` a level (channels x, y, w, h, objectness, classes; planes as a
    convolution gives them); ``labels`` float32 ``[B, M, 5]`` (class, x, y, w, h; normalised), of which image i uses the
    first ``counts[i]``; ``anchors_in_cells`` float32 ``[levels, A, 2]``.

    terms: float64 ``[levels, 5]``, the sums of ``loss_terms``. parts: float32 ``[4]``, loss, box, obj and
    cls, with loss = (box + obj + cls) * B. gradients: d loss / d head, float32 in the heads' shapes; in new arrays, or
    in those given (writeable, C-contiguous, written completely), which spares the time that new memory takes.

    Labels match as in ``assign_targets``. NaN in what the loss reads (objectness anywhere, all channels of matched
    cells) gives NaN. The numbers are the same in every run and for any number of threads.

    Raises ValueError, naming the argument, for a wrong shape, type or range; nothing is written then.
    """
    heads = list(heads)
    if isinstance(gradients, bool):
        written = [np.empty(np.shape(head), np.float32) for head in heads] if gradients else None
    else:
        written = list(gradients)
    numbers = tuple(
        float(getattr(settings, name))
        for name in ("box", "obj", "cls", "cls_pw", "obj_pw", "anchor_t", "fl_gamma", "label_smoothing")
    )
    balance = [float(weight) for weight in settings.balance]
    terms, parts = native.detection_loss(heads, labels, counts, anchors_in_cells, (*numbers, balance), written)
    return terms, parts, written
