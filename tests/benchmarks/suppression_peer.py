"""What the peers' environment for CPUs lacks of torchvision, by plain PyTorch: overlap and suppression of boxes."""

from __future__ import annotations

from pathlib import Path

OPERATORS = """
import torch


def box_iou(a, b):
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = (high - low).clamp(0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (a, b)]
    return inter / (areas[0][:, None] + areas[1] - inter)


def batched_nms(boxes, scores, classes, threshold):
    left, kept = scores.argsort(descending=True, stable=True), []
    while len(left) and len(kept) < 300:  # callers take no more
        best, left = left[0], left[1:]
        kept.append(int(best))
        meets = (box_iou(boxes[best : best + 1], boxes[left])[0] > threshold) & (classes[left] == classes[best])
        left = left[~meets]
    return torch.tensor(kept, dtype=torch.long)
"""


def write_torchvision(folder: Path) -> str:
    """A package of that name with these two operators; gives the folder for PYTHONPATH."""
    package = folder / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "ops.py").write_text(OPERATORS, encoding="utf-8")
    return str(folder)
