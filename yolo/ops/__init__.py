"""Operators on boxes: arrays in, arrays out. See docs/interfaces.md for the box forms."""

from yolo.ops.boxes import labels_to_xyxy, scale_boxes, xywhn_to_xyxy, xyxy_to_xywhn
from yolo.ops.iou import pairwise_iou

__all__ = ["labels_to_xyxy", "pairwise_iou", "scale_boxes", "xywhn_to_xyxy", "xyxy_to_xywhn"]
