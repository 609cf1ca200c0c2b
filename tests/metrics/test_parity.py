"""The figures are those in ../shared/parity/README.md."""

from __future__ import annotations

import pytest

from tests.metrics import coco128
from tests.parity import needs_parity
from yolo.metrics import MetricAccumulator


@needs_parity
@pytest.mark.parity
@pytest.mark.parametrize(
    "model, expected",
    [("yolov5n", (0.621, 0.493, 0.559, 0.364)), ("yolov5s", (0.686, 0.584, 0.646, 0.434))],
)
def test_metrics_of_the_reference_detections(model, expected):
    accumulator = MetricAccumulator(80)
    for image in coco128.images(model):
        accumulator.update(image.detections, image.pixel_labels)
    metrics = accumulator.compute()
    figures = (metrics.precision, metrics.recall, metrics.map50, metrics.map50_95)
    assert figures == pytest.approx(expected, abs=0.001)
    assert (metrics.images, metrics.labels) == (128, 929)
