"""Compiled operators: arrays in, arrays out. See docs/interfaces.md for the box forms."""

from yolo.ops.assign import Assignment, assign_targets
from yolo.ops.boxes import (
    clip_boxes,
    labels_to_xyxy,
    scale_boxes,
    xywh_to_xyxy,
    xywhn_to_xyxy,
    xyxy_to_xywh,
    xyxy_to_xywhn,
)
from yolo.ops.iou import pairwise_iou
from yolo.ops.loss import detection_loss
from yolo.ops.nms import nms
from yolo.ops.threads import num_threads, set_num_threads
from yolo.ops.update import update_parameters

__all__ = [
    "Assignment",
    "assign_targets",
    "clip_boxes",
    "detection_loss",
    "labels_to_xyxy",
    "nms",
    "num_threads",
    "pairwise_iou",
    "scale_boxes",
    "set_num_threads",
    "update_parameters",
    "xywh_to_xyxy",
    "xywhn_to_xyxy",
    "xyxy_to_xywh",
    "xyxy_to_xywhn",
]
