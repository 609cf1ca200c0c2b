"""The request beside the call: its rows, and a server that is started and asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.driver import Contender, Measurement
from benchmarks.serve import COLUMNS, as_rows
from benchmarks.table import as_text
from benchmarks.workers.request import Requests
from tests.inference.samples import make_weights, noise
from yolo.data.images import write_image
from yolo.inference.detector import Detector


def measurement(ms: list[float], rows: np.ndarray) -> Measurement:
    figures = {"network_ms": [1.0] * len(ms)}
    return Measurement(Contender("a", "fp32", True, "", ""), ms, figures, {"rows": rows})


def test_what_a_request_takes_above_a_call() -> None:
    found = np.ones((2, 6), np.float32)
    rows = as_rows("yolov5n", [measurement([10, 11, 15], found), measurement([13, 13.5, 20], found)])
    assert rows[1]["above_ms"] == 2.5 and rows[1]["note"] is None
    assert "above the call" in as_text("Title", rows, COLUMNS)
    rows = as_rows("yolov5n", [measurement([10], found), measurement([13], found + 1)])
    assert rows[1]["note"] == "finds something else than the call"
    assert "above_ms" not in as_rows("yolov5n", [measurement([10], found), measurement([], found)])[1]


def test_the_worker_starts_a_server_and_asks_it(tmp_path: Path) -> None:
    weights = make_weights(tmp_path / "small.safetensors")
    image = write_image(tmp_path / "a.jpg", noise((480, 640)))
    requests = Requests()
    requests.load(str(weights), str(image), 64)
    try:
        assert set(requests.run()) == {"network_ms", "nms_ms"}
        found = requests.outputs()["rows"]
    finally:
        requests.close()
    np.testing.assert_allclose(found, Detector(weights, imgsz=64, device="cpu")(image).rows, atol=0.01)
