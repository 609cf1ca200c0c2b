"""An exported file as what gives detections, so that it is measured as this project's own programs are."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from yolo.formats.portable import DECODED, HEADS, Layout, Portable
from yolo.formats.runtimes import Runtime
from yolo.inference.runner import Part, Runner
from yolo.program.detection import NmsSettings, detection_head, suppression

Bytes = NDArray[np.uint8]


def in_batches(run: Runtime, images: Bytes, layout: Layout) -> list[NDArray]:
    """The outputs for images uint8 ``[B, 3, H, W]``; where the file's batch is fixed they go in batches of it, the last
    one filled up.
    """
    scaled = images.astype(np.float32) / np.float32(255)
    if layout.dynamic:
        return run(scaled)
    count = layout.batch
    filled = np.resize(scaled, (-(-len(scaled) // count) * count, *scaled.shape[1:]))
    parts = [run(filled[start : start + count]) for start in range(0, len(filled), count)]
    return [np.concatenate(some)[: len(images)] for some in zip(*parts)]


def detections_of(
    outputs: Sequence[NDArray], portable: Portable, layout: Layout, settings: NmsSettings
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Detections ``[B, max_det, 6]`` and their counts; of outputs without suppression, by this project's own."""
    if layout.output == HEADS:
        head = detection_head(
            [part.shape for part in outputs], portable.checkpoint.anchors, portable.spec.strides, settings
        )
        return head([np.ascontiguousarray(part) for part in outputs])
    if layout.output == DECODED:
        (predictions,) = outputs
        return suppression(predictions.shape, settings)(predictions)
    rows, counts = outputs
    return rows, counts.astype(np.int32)


class ForeignRunner(Runner):
    """Gives the detections of an exported file."""

    pixels_at_once = None
    compile_seconds = 0.0

    def __init__(self, run: Runtime, portable: Portable, layout: Layout, settings: NmsSettings) -> None:
        """``settings``: of the suppression, where the file has none of its own."""
        self._run, self._portable, self._layout, self._settings = run, portable, layout, settings

    def _part(self, images: np.ndarray, known: Sequence[np.ndarray]) -> Part:
        outputs = in_batches(self._run, images, self._layout)
        begin = time.perf_counter()
        rows, counts = detections_of(outputs, self._portable, self._layout, self._settings)
        return rows, counts, time.perf_counter() - begin
