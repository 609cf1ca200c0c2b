"""Raw heads to detections in PyTorch: decoding by whole tensors, then torchvision's ``batched_nms``, as YOLOv5's users
do it."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class Decoder:
    """Raw heads [B, A * (5 + nc), h, w] -> [B, N, 5 + nc]: x, y, w, h in pixels, objectness, class scores."""

    def __init__(self, heads: Sequence[torch.Tensor], geometry: Sequence[Sequence], classes: int) -> None:
        """geometry: stride and anchors (pixels) of each level."""
        self._columns, self._levels = 5 + classes, []
        for head, (stride, sizes, *_) in zip(heads, geometry):
            anchors = torch.tensor(sizes, dtype=head.dtype, device=head.device).view(1, -1, 1, 1, 2)
            axes = [torch.arange(side, dtype=head.dtype, device=head.device) for side in head.shape[2:]]
            rows, columns = torch.meshgrid(*axes, indexing="ij")
            self._levels.append((stride, anchors, torch.stack((columns, rows), -1) - 0.5))

    def __call__(self, heads: Sequence[torch.Tensor]) -> torch.Tensor:
        found = []
        for head, (stride, anchors, cells) in zip(heads, self._levels):
            t = head.unflatten(1, (-1, self._columns)).permute(0, 1, 3, 4, 2).sigmoid()
            xy, wh, scores = t.split((2, 2, self._columns - 4), -1)
            made = torch.cat(((xy * 2 + cells) * stride, (wh * 2) ** 2 * anchors, scores), -1)
            found.append(made.flatten(1, 3))
        return torch.cat(found, 1)


def detect(
    predictions: torch.Tensor,
    *,
    conf: float,
    iou: float,
    max_det: int,
    multi_label: bool,
    max_candidates: int = 30_000,
) -> list[torch.Tensor]:
    """Of each image float32 [n, 6], best first: corners, score, class."""
    from torchvision.ops import batched_nms

    found = []
    for rows in predictions:
        rows = rows[rows[:, 4] > conf].float()
        scores, half = rows[:, 4:5] * rows[:, 5:], rows[:, 2:4] / 2
        boxes = torch.cat((rows[:, :2] - half, rows[:, :2] + half), 1)
        if multi_label:
            place, classes = (scores > conf).nonzero(as_tuple=True)
            boxes, scores = boxes[place], scores[place, classes]
        else:
            scores, classes = scores.max(1)
            sure = scores > conf
            boxes, scores, classes = boxes[sure], scores[sure], classes[sure]
        order = scores.argsort(descending=True)[:max_candidates]
        boxes, scores, classes = boxes[order], scores[order], classes[order]
        kept = batched_nms(boxes, scores, classes, iou)[:max_det]
        found.append(torch.cat((boxes[kept], scores[kept, None], classes[kept, None].float()), 1))
    return found
