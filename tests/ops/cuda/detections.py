"""A device's detections beside the CPU's, for the same settings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.device import cuda_host
from yolo import native
from yolo.program.detection import NmsSettings

Found = tuple[np.ndarray, np.ndarray]


def options(settings: NmsSettings, classes: int) -> dict:
    """What the operators of ``cuda_host()`` take by name."""
    wanted = [int(number in settings.classes) for number in range(classes)] if settings.classes else [1] * classes
    names = ("conf", "iou", "max_det", "max_candidates", "agnostic", "multi_label")
    return {**{name: getattr(settings, name) for name in names}, "wanted": np.array(wanted, np.uint8)}


def suppress_on_device(predictions: np.ndarray, settings: NmsSettings) -> Found:
    return cuda_host().nms(predictions, **options(settings, predictions.shape[2] - 5))


def detect_on_device(
    heads: Sequence[np.ndarray],
    geometry: Sequence[tuple],
    settings: NmsSettings,
    known: Found | None = None,
) -> Found:
    """geometry: stride, anchors, scale and mirror of each level."""
    boxes, places = known or (np.zeros((len(heads[0]), 0, 5), np.float32), np.zeros(len(heads[0]), np.int32))
    classes = heads[0].shape[1] // (len(geometry[0][1]) // 2) - 5
    return cuda_host().detect(list(heads), list(geometry), classes, boxes, places, **options(settings, classes))


def detect_on_cpu(
    heads: Sequence[np.ndarray],
    geometry: Sequence[tuple],
    settings: NmsSettings,
    known: Found | None = None,
) -> Found:
    classes = heads[0].shape[1] // (len(geometry[0][1]) // 2) - 5
    levels = [native.Level(*head.shape[2:], *numbers) for head, numbers in zip(heads, geometry)]
    places = known[0].shape[1] if known else 0
    return native.DetectionHead(levels, classes, len(heads[0]), settings.native(classes), places)(list(heads), known)
