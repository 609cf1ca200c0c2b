"""The compiled operators as graphs call them: one run of OneFlow's ``yolo_run``, NumPy in and out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import oneflow as flow

from graphs.base import synchronise
from yolo.program.detection import NmsSettings, suppression
from yolo.program.operator import Runnable, call


def run(
    runnable: Runnable, inputs: Sequence[np.ndarray], outputs: Sequence[tuple], mutable: Sequence[np.ndarray] = ()
) -> list[np.ndarray]:
    """What ``runnable`` gives; ``mutable`` arrays are written in place. outputs: (shape, dtype) of each."""
    tensors = [flow.tensor(array) for array in mutable]
    found = call(runnable, [flow.tensor(array) for array in inputs], outputs, tensors)
    arrays = [tensor.numpy() for tensor in found]
    synchronise()
    for array, tensor in zip(mutable, tensors):
        array[...] = tensor.numpy()
    return arrays


def suppress(predictions: np.ndarray, settings: NmsSettings) -> tuple[np.ndarray, np.ndarray]:
    """Detections float32 ``[B, max_det, 6]`` and counts int32 ``[B]`` of decoded predictions ``[B, N, 5 + nc]``."""
    batch = len(predictions)
    shapes = [((batch, settings.max_det, 6), flow.float32), ((batch,), flow.int32)]
    detections, counts = run(suppression(predictions.shape, settings), [predictions], shapes)
    return detections, counts


def options_of(settings: NmsSettings) -> dict:
    """The settings as ``tests.reference.nms`` takes them."""
    return {**dataclasses.asdict(settings), "classes": settings.classes or None}
