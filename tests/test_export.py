"""The export command, and detectors made of its files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import yolo
from tests.bfloat16 import HAS_BF16
from tests.program.networks import two_levels
from tests.train.samples import run
from yolo import Detector, detect, export
from yolo.errors import ConfigError
from yolo.models.weights.safetensors_io import save_checkpoint
from yolo.models.weights.transfer import checkpoint_of

PROGRAM = "yolo.export"
WITHOUT_ONEFLOW = """
import sys
sys.modules["oneflow"] = None  # an import of it fails
import numpy as np
from yolo import Detector
result = Detector(sys.argv[1], conf=0.0005)(np.zeros((48, 64, 3), np.uint8))
print(len(result), result.names)
"""


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, checkpoint_of(two_levels(), ("red", "blue")))
    return path


@pytest.mark.covers("export", "weights", "imgsz", "json", "include")
def test_the_file_and_the_json(weights: Path) -> None:
    done = run(export.main, ["--weights", str(weights), "--imgsz", "64", "--json"], weights.parent)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["schema_version"], found["command"], found["precision"]) == (1, "export", "fp32")
    assert found["files"] == [str(weights.with_suffix(".program"))] and Path(found["files"][0]).is_file()
    (verdict,) = found["verified"]
    assert (verdict["format"], verdict["verdict"], verdict["detections"]["different"]) == ("program", "verified", 0)
    assert verdict["difference"] <= verdict["tolerance"] == 1e-4
    assert "compiled in " in done.err and ".program: verified by yolo " in done.err
    assert "python -m yolo.detect --weights " in done.err


def test_a_detector_of_the_file_finds_the_same(weights: Path) -> None:
    assert run(export.main, ["--weights", str(weights), "--imgsz", "96"], weights.parent).code == 0
    program = Detector(weights.with_suffix(".program"), conf=0.0005)
    assert program.imgsz == (96, 96) and program.names == ("red", "blue")
    images = [np.random.default_rng(n).integers(0, 256, (50 + n, 80, 3), dtype=np.uint8) for n in range(3)]
    for ours, theirs in zip(program(images), Detector(weights, conf=0.0005, imgsz=96)(images)):
        assert len(ours) == len(theirs) > 0
        np.testing.assert_array_equal(ours.boxes.xyxy, theirs.boxes.xyxy)
        np.testing.assert_array_equal(ours.boxes.conf, theirs.boxes.conf)


def test_the_detect_command_takes_the_file(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from yolo.data.images import write_image

    monkeypatch.chdir(weights.parent)
    write_image(Path("a.png"), np.zeros((40, 64, 3), np.uint8))
    run(export.main, ["--weights", str(weights), "--imgsz", "64"], weights.parent)
    done = run(detect.main, ["--weights", "small.program", "--source", "a.png", "--json"], weights.parent)
    assert done.code == 0 and json.loads(done.out)["images"][0]["path"] == "a.png"
    refused = run(detect.main, ["--weights", "small.program", "--source", "a.png", "--half"], weights.parent)
    assert "has its precision" in refused.refusal("yolo.detect")


def test_it_runs_where_oneflow_is_not(weights: Path) -> None:
    run(export.main, ["--weights", str(weights), "--imgsz", "64"], weights.parent)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ONEFLOW, str(weights.with_suffix(".program"))],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(yolo.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("('red', 'blue')\n")


@pytest.mark.covers("export", "dump")
def test_the_dump_shows_every_pass_and_the_plan(weights: Path) -> None:
    done = run(export.main, ["--weights", str(weights), "--imgsz", "64", "--dump"], weights.parent)
    titles = [line.split(":")[0].removeprefix("== ") for line in done.out.splitlines() if line.startswith("==")]
    assert titles == [
        "lower",
        "fold_batch_norm",
        "fuse_activations",
        "fuse_residuals",
        "merge_siblings",
        "plan",
        "executor",
    ]
    assert "kernel=3x3 stride=2x2 padding=1x1" in done.out and "layout nChw" in done.out and " MFLOP " in done.out
    both = run(export.main, ["--weights", str(weights), "--imgsz", "64", "--dump", "--json"], weights.parent)
    assert both.out.count("\n") == 1 and "== plan" in both.err


def test_what_cannot_be_exported(tmp_path: Path, weights: Path) -> None:
    for given, says in (("", "no weights are named; "), (str(tmp_path), f"{tmp_path}: is a folder; ")):
        assert run(export.main, ["--weights", given], tmp_path).refusal(PROGRAM).startswith(says)
    assert run(export.main, ["--weights", "absent.pt"], tmp_path).refusal(PROGRAM).startswith("no weights 'absent.pt'")
    line = run(export.main, ["--include", "onxn"], tmp_path).refusal(PROGRAM)
    assert line == "--include: there is no format 'onxn'; did you mean onnx?"
    assert not list(tmp_path.glob("*.program"))
    run(export.main, ["--weights", str(weights)], tmp_path)
    line = run(export.main, ["--weights", str(weights.with_suffix(".program"))], tmp_path).refusal(PROGRAM)
    assert line.startswith(f"{weights.with_suffix('.program')}: is a compiled detector already; ")


@pytest.mark.covers("export", "half")
def test_half(weights: Path) -> None:
    done = run(export.main, ["--weights", str(weights), "--imgsz", "64", "--half", "--json"], weights.parent)
    if not HAS_BF16:
        assert "bf" in done.refusal(PROGRAM) and not list(weights.parent.glob("*.program"))
        return
    assert json.loads(done.out)["precision"] == "bf16"
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    ours, exact = Detector(weights.with_suffix(".program"), conf=0.0005), Detector(weights, conf=0.0005, imgsz=64)
    assert ours(image).boxes.conf[0] == pytest.approx(exact(image).boxes.conf[0], rel=0.05)
    assert not np.array_equal(ours(image).boxes.conf, exact(image).boxes.conf)


def test_a_size_that_memory_has_no_room_for(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo.program.footprint.free_memory", lambda **_: 10**9)
    line = run(export.main, ["--weights", str(weights), "--imgsz", "100000"], weights.parent).refusal(PROGRAM)
    assert line.startswith("--imgsz 100000: an image of 100000 x 100000 pixels takes at least ")
    assert line.endswith("; lower --imgsz") and not weights.with_suffix(".program").exists()
    assert run(export.main, ["--weights", str(weights), "--imgsz", "8"], weights.parent).code == 0
    strip = Detector(weights.with_suffix(".program"), imgsz=8000)
    monkeypatch.setattr("yolo.program.footprint.free_memory", lambda **_: 10**7)
    assert strip(np.zeros((1, 8000, 3), np.uint8)).input_size == (8, 8000)
    with pytest.raises(ConfigError, match="--imgsz 8000: an image of 8000 x 4000 pixels takes at least"):
        strip(np.zeros((40, 80, 3), np.uint8))
