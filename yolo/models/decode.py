"""Raw heads -> predictions in pixels, by OneFlow operators that work eager and in graphs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import oneflow as flow

from yolo.distributed.tensors import constant


def decode(heads: Sequence[flow.Tensor], anchors: np.ndarray, strides: Sequence[int]) -> flow.Tensor:
    """Decode raw heads `[B, na, h, w, 5 + nc]` into `[B, N, 5 + nc]`.

    Columns: x, y, w, h in pixels, objectness and class scores after the sigmoid. Rows: levels in order,
    within a level anchor, row, column. ``anchors``: float32 `[nl, na, 2]` in pixels. With t = sigmoid(raw):
    xy = (2t − 0.5 + cell)·stride, wh = (2t)²·anchor.
    """
    return flow.cat([_level(*level) for level in zip(heads, anchors, strides)], dim=1)


def _level(head: flow.Tensor, anchors: np.ndarray, stride: int) -> flow.Tensor:
    batch, na, height, width, columns = head.shape
    corner = (cell_grid(height, width) - 0.5) * stride
    quadruple = 4 * np.asarray(anchors, np.float32).reshape(1, na, 1, 1, 2)
    t = flow.sigmoid(head)
    xy = t[..., 0:2] * (2.0 * stride) + constant(corner, head)
    wh = t[..., 2:4] * t[..., 2:4] * constant(quadruple, head)
    return flow.cat([xy, wh, t[..., 4:]], dim=-1).reshape(batch, na * height * width, columns)


def cell_grid(height: int, width: int) -> np.ndarray:
    """x and y of every cell, float32 `[1, 1, h, w, 2]`."""
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return np.stack((x, y), -1).astype(np.float32)[None, None]
