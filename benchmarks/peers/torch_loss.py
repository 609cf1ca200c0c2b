"""YOLOv5's matching and loss in PyTorch: the formulas of ``yolo.loss``, by plain indexing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch.nn import functional

EPSILON = 1e-7


@dataclasses.dataclass(frozen=True)
class TorchLoss:
    """The detection loss. Gains are already scaled; ``anchors`` float32 [levels, A, 2] in cells.

    For recipes without focal loss, label smoothing and class weights.
    """

    anchors: torch.Tensor
    box: float
    obj: float
    cls: float
    anchor_t: float
    balance: Sequence[float]

    def __call__(self, heads: Sequence[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """heads: raw [B, A * (5 + nc), h, w]; labels: [n, 6], image, class, x, y, w, h -> loss, [3] box, obj, cls."""
        box, obj, cls = (torch.zeros((), device=heads[0].device) for _ in range(3))
        for raw, anchors, balance in zip(heads, self.anchors.to(heads[0].device), self.balance):
            count = len(anchors)
            head = raw.float().unflatten(1, (count, -1)).permute(0, 1, 3, 4, 2)  # [B, A, h, w, 5 + nc]
            place, offset, wh, classes, number = match(labels, anchors, head.shape[2:4], self.anchor_t)
            target = torch.zeros(head.shape[:4], device=head.device)
            if len(classes):
                found = head[place]  # [n, 5 + nc]
                xy = found[:, 0:2].sigmoid() * 2 - 0.5
                sides = (found[:, 2:4].sigmoid() * 2) ** 2 * anchors[number]
                overlap = complete_iou(xy, sides, offset, wh)
                box = box + (1 - overlap).mean()
                target[place] = overlap.detach().clamp(0)
                if head.shape[-1] > 6:
                    hot = functional.one_hot(classes, head.shape[-1] - 5).float()
                    cls = cls + functional.binary_cross_entropy_with_logits(found[:, 5:], hot)
            obj = obj + functional.binary_cross_entropy_with_logits(head[..., 4], target) * balance
        parts = torch.stack((box * self.box, obj * self.obj, cls * self.cls))
        return parts.sum() * heads[0].shape[0], parts.detach()


def match(
    labels: torch.Tensor, anchors: torch.Tensor, grid: Sequence[int], threshold: float
) -> tuple[tuple[torch.Tensor, ...], torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Labels [n, 6] to cells of one level: (image, anchor, row, column), offset in the cell, size, class, anchor.

    In YOLOv5's order: own cell, left, top, right, bottom; within them by anchor, then by label.
    """
    rows, columns = grid
    size = torch.tensor([columns, rows], dtype=torch.float32, device=labels.device)
    xy, wh = labels[:, 2:4] * size, labels[:, 4:6] * size
    ratio = wh[None] / anchors[:, None]
    number, label = (torch.maximum(ratio, 1 / ratio).amax(-1) < threshold).nonzero(as_tuple=True)
    xy, wh = xy[label], wh[label]
    low, high = (((p % 1 < 0.5) & (p > 1)).T for p in (xy, size - xy))
    near = torch.stack((torch.ones_like(low[0]), low[0], low[1], high[0], high[1]))
    shift = torch.tensor([[0, 0], [0.5, 0], [0, 0.5], [-0.5, 0], [0, -0.5]], device=labels.device)
    neighbour, chosen = near.nonzero(as_tuple=True)
    cell = (xy[chosen] - shift[neighbour]).floor()
    cell = torch.minimum(cell.clamp(0), size - 1)
    number, label = number[chosen], label[chosen]
    column, row = cell.long().T
    image, classes = labels[label, 0].long(), labels[label, 1].long()
    return (image, number, row, column), xy[chosen] - cell, wh[chosen], classes, number


def complete_iou(xy: torch.Tensor, wh: torch.Tensor, true_xy: torch.Tensor, true_wh: torch.Tensor) -> torch.Tensor:
    """Complete IoU (Zheng et al. 2020) of boxes as centre and size, [n, 2] each; alpha is not differentiated."""
    low, high = xy - wh / 2, xy + wh / 2
    true_low, true_high = true_xy - true_wh / 2, true_xy + true_wh / 2
    inter = (torch.minimum(high, true_high) - torch.maximum(low, true_low)).clamp(0).prod(-1)
    iou = inter / (wh.prod(-1) + true_wh.prod(-1) - inter + EPSILON)
    hull = torch.maximum(high, true_high) - torch.minimum(low, true_low)
    centre = (true_xy - xy).square().sum(-1) / (hull.square().sum(-1) + EPSILON)
    turn = torch.atan(true_wh[:, 0] / (true_wh[:, 1] + EPSILON)) - torch.atan(wh[:, 0] / (wh[:, 1] + EPSILON))
    aspect = 4 / math.pi**2 * turn.square()
    with torch.no_grad():
        alpha = aspect / (aspect - iou + (1 + EPSILON))
    return iou - (centre + aspect * alpha)
