"""Which predictions answer for which labels: YOLOv5's anchor matching, with static shapes.

Every label has a fixed number of places to be matched, valid or not, so that the whole of it runs inside a static
graph: for each anchor the label's own cell and its four neighbours. A validity mask stands where YOLOv5's rule
filters rows.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import oneflow as flow

from yolo.distributed.tensors import constant

CELLS = 5  # own, left, top, right, bottom: the order in which YOLOv5 writes matches


@dataclasses.dataclass(frozen=True)
class Matches:
    """Matches of one level for a batch: B images, 5 cells (own, left, top, right, bottom), A anchors, M labels.

    cell: int64 [B, 5, A, M], index into the level's flattened (anchor, row, column) predictions; where several
        matches share a cell, the last one along axis 1, then 3, is the one that YOLOv5 wrote last.
    valid: float32 [B, 5, A, M], 1 where the match holds.
    xy, wh: float32 [B, 5, A, M, 2], the label's centre relative to the cell and its size, in cells.
    classes: int64 [B, M].
    """

    cell: flow.Tensor
    valid: flow.Tensor
    xy: flow.Tensor
    wh: flow.Tensor
    classes: flow.Tensor


def match_level(
    labels: flow.Tensor, counts: flow.Tensor, anchors: flow.Tensor, grid: tuple[int, int], threshold: float
) -> Matches:
    """Match padded labels to one level's cells.

    labels: float32 [B, M, 5] (class, x, y, w, h; normalised); counts: int32 [B], how many rows are real;
    anchors: float32 [A, 2] in cells; grid: (rows, columns); threshold: ``anchor_t``, the largest ratio of label and
    anchor sides. Source: YOLOv5, "build targets": where no side is ``threshold`` times the other's, in the label's own
    cell and in the nearer neighbour of each axis.
    """
    rows, columns = grid
    max_labels = labels.shape[1]
    x, y = labels[:, :, 1] * columns, labels[:, :, 2] * rows
    wh = flow.stack([labels[:, :, 3] * columns, labels[:, :, 4] * rows], dim=-1)  # [B, M, 2]

    place = constant(np.arange(max_labels)[None], labels)
    real = (place < counts.to(flow.float32).unsqueeze(1)).to(flow.float32)
    ratio = wh.unsqueeze(1) / anchors.unsqueeze(0).unsqueeze(2)  # [B, A, M, 2]
    worst = flow.maximum(ratio, 1.0 / ratio).amax(dim=-1)
    fits = (worst < threshold).to(flow.float32) * real.unsqueeze(1)  # [B, A, M]

    left, right = _near_low_border(x), _near_low_border(columns - x)
    top, bottom = _near_low_border(y), _near_low_border(rows - y)
    near = flow.stack([flow.ones_like(x), left, top, right, bottom], dim=1)  # [B, 5, M]
    cell_x = flow.floor(flow.stack([x, x - 0.5, x, x + 0.5, x], dim=1)).clamp(0, columns - 1)
    cell_y = flow.floor(flow.stack([y, y, y - 0.5, y, y + 0.5], dim=1)).clamp(0, rows - 1)

    offset = flow.stack([x.unsqueeze(1) - cell_x, y.unsqueeze(1) - cell_y], dim=-1)  # [B, 5, M, 2]
    count = anchors.shape[0]
    first = constant(np.arange(count).reshape(1, 1, count, 1) * (rows * columns), labels).to(flow.int64)
    return Matches(
        cell=(cell_y * columns + cell_x).to(flow.int64).unsqueeze(2) + first,
        valid=near.unsqueeze(2) * fits.unsqueeze(1),
        xy=offset.unsqueeze(2).expand(-1, -1, count, -1, -1),
        wh=wh.unsqueeze(1).unsqueeze(2).expand(-1, CELLS, count, -1, -1),
        classes=labels[:, :, 0].to(flow.int64),
    )


def _near_low_border(position: flow.Tensor) -> flow.Tensor:
    """1 where a coordinate lies in the lower half of its cell and outside the first cell, else 0."""
    return ((position - flow.floor(position) < 0.5) * (position > 1.0)).to(flow.float32)
