"""How good detections are: matching, average precision, confusion, COCO's own evaluation."""

from yolo.metrics.accumulator import MetricAccumulator
from yolo.metrics.average_precision import DetectionMetrics
from yolo.metrics.matching import match_detections

__all__ = ["DetectionMetrics", "MetricAccumulator", "match_detections"]
