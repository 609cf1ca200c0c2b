"""Names in a run's folder that several parts of a run write or read."""

from __future__ import annotations

COLUMNS = (
    "epoch",
    "train/box_loss",
    "train/obj_loss",
    "train/cls_loss",
    "metrics/precision",
    "metrics/recall",
    "metrics/mAP_0.5",
    "metrics/mAP_0.5:0.95",
    "val/box_loss",
    "val/obj_loss",
    "val/cls_loss",
    "x/lr0",
    "x/lr1",
    "x/lr2",
)
"""Of ``results.csv``: YOLOv5's."""

GENERATIONS = "generations"
"""Folder in a search's own, of the trainings that are under way."""
