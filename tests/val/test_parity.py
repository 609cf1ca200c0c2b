"""The val command gives the figures of ../shared/parity/README.md, measured with the published weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.parity import PARITY, needs_parity
from tests.train.samples import run, write_yaml
from yolo import val
from yolo.data.dataset import PRESETS


@needs_parity
@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "model, expected",
    [("yolov5n", (0.621, 0.493, 0.559, 0.364)), ("yolov5s", (0.686, 0.584, 0.646, 0.434))],
)
def test_coco128(tmp_path: Path, model: str, expected: tuple[float, ...]) -> None:
    content = yaml.safe_load((PRESETS / "coco128.yaml").read_text())
    data = write_yaml(tmp_path / "coco128.yaml", {**content, "path": str(PARITY / "data/coco128"), "download": None})
    options = {
        "--weights": PARITY / f"weights/{model}.pt",
        "--data": data,
        "--imgsz": 640,
        "--batch-size": 8,
        "--device": "cpu",
        "--project": tmp_path,
    }
    argv = [str(word) for pair in options.items() for word in pair]
    done = run(val.main, [*argv, "--noplots", "--json"], tmp_path / "exp")
    assert done.code == 0, done.err
    metrics = json.loads(done.out)["metrics"]
    names = ("precision", "recall", "map50", "map50_95")
    assert [metrics[name] for name in names] == pytest.approx(expected, abs=0.003)
