"""--int8 of the commands, on a small network that was trained on coloured rectangles."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.parity import PARITY, needs_parity
from tests.train.samples import Done, Workshop, run, write_yaml
from yolo import Detector, detect, export, val
from yolo.data.dataset import PRESETS
from yolo.data.images import read_image
from yolo.errors import ConfigError
from yolo.inference.results import Result
from yolo.ops import pairwise_iou
from yolo.program.file import load_program


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("int8"))


@pytest.fixture(scope="module")
def weights(shop: Workshop, learnt: Done) -> Path:
    """What was exported lies beside it."""
    return Path(shutil.copy(learnt.folder / "weights/best.safetensors", shop.folder))


@pytest.fixture(scope="module")
def exported(shop: Workshop, weights: Path) -> Done:
    return export_int8(weights, "--data", str(shop.data), "--json")


def export_int8(weights: Path, *flags: str) -> Done:
    return run(export.main, ["--weights", str(weights), "--imgsz", "64", "--int8", *flags], weights.parent)


def has_partners(ours: list[Result], theirs: list[Result]) -> bool:
    """Whether the others have each sure detection, or the one for which suppression left it out; the weak ones vary."""
    sure = [one.boxes.conf > 0.45 for one in ours]
    assert sum(map(np.count_nonzero, sure)) >= 6
    near = [
        (pairwise_iou(one.boxes.xyxy, other.boxes.xyxy) >= 0.4)  # suppression leaves out from 0.45 on
        & (one.boxes.conf[:, None] - other.boxes.conf[None] <= 0.1)
        & (one.boxes.cls[:, None] == other.boxes.cls[None])
        for one, other in zip(ours, theirs)
    ]
    return all(alike[kept].any(axis=1).all() for alike, kept in zip(near, sure))


@pytest.mark.covers("export", "int8", "data")
def test_the_exported_file_detects_and_its_cost_is_said(shop: Workshop, weights: Path, exported: Done) -> None:
    assert exported.code == 0, exported.err
    found = json.loads(exported.out)
    cost = found["int8"]
    assert found["precision"] == "int8" and 0 < cost["movement"] < 0.1 and cost["pictures"] == 6
    assert cost["map50_95_fp32"] > 0.3 and abs(cost["map50_95_fp32"] - cost["map50_95_int8"]) < 0.1
    assert re.search(
        r"int8 \(8 calibration images\): \d of 4 convolutions.*; the outputs change by [\d.]+ %", exported.err
    )
    assert "mAP50-95 on 6 images: " in exported.err and "; int8 costs " in exported.err
    program = load_program(found["files"][0])
    assert program.precision == "int8" and program.graph.scales
    detector = Detector(found["files"][0], conf=0.3)
    images = [read_image(path) for path in sorted((shop.data.parent / "images/val").iterdir())]
    expected = Detector(weights, conf=0.3, imgsz=64)(images)
    found = detector(images)
    assert has_partners(found, expected) and has_partners(expected, found)


def test_the_dump_shows_the_precision_of_every_value(shop: Workshop, weights: Path) -> None:
    done = export_int8(weights, "--data", str(shop.data), "--dump")
    assert "== quantise: " in done.out and "int8: nhwc" in done.out
    rows = [
        line for line in done.out.split("== quantise: ")[1].split("== plan")[0].splitlines() if line.startswith("%")
    ]
    assert rows and all(re.search(r"\] +(fp32|u8 [\d.e-]+\*\(q-\d+\)) +<- ", line) for line in rows)


@pytest.mark.covers("val", "int8")
def test_validation_measures_both_precisions(shop: Workshop, weights: Path, tmp_path: Path) -> None:
    argv = ["--weights", str(weights), "--data", str(shop.data), "--imgsz", "64", "--device", "cpu", "--noplots"]
    argv += ["--project", str(tmp_path), "--json"]
    low, high = (run(val.main, [*argv, *more], tmp_path) for more in (["--int8"], []))
    assert low.code == 0, low.err
    found, expected = json.loads(low.out), json.loads(high.out)
    assert found["int8"]["map50_95_fp32"] == expected["metrics"]["map50_95"] > 0.3
    assert found["int8"]["map50_95_int8"] == found["metrics"]["map50_95"]
    assert abs(found["metrics"]["map50_95"] - expected["metrics"]["map50_95"]) < 0.1
    assert "; int8 costs " in low.err and "int8" not in expected


@pytest.mark.covers("detect", "int8")
def test_detection_calibrates_on_the_named_data(shop: Workshop, weights: Path, tmp_path: Path) -> None:
    source = shop.data.parent / "images/val/000.png"
    argv = ["--weights", str(weights), "--source", str(source), "--imgsz", "64", "--nosave", "--json"]
    low, high = (run(detect.main, [*argv, *more], tmp_path) for more in (["--int8", "--data", str(shop.data)], []))
    assert low.code == 0, low.err
    assert "8 calibration images" in low.err and "the outputs change by " in low.err
    ours, theirs = (json.loads(done.out)["images"][0]["detections"] for done in (low, high))
    assert ours and theirs and ours != theirs


def test_what_int8_does_not_go_with(shop: Workshop, weights: Path, exported: Done, tmp_path: Path) -> None:
    data, source = ["--data", str(shop.data)], ["--source", str(shop.data.parent / "images/val")]
    for main, program, flags in ((export.main, "yolo.export", []), (detect.main, "yolo.detect", source)):
        bare = run(main, ["--weights", str(weights), *flags, "--int8"], tmp_path)
        assert "--int8: needs a data set to be calibrated on; name one with --data" in bare.refusal(program)
        both = run(main, ["--weights", str(weights), *flags, "--int8", "--half", *data], tmp_path)
        assert "--half --int8: cannot be combined; choose one" in both.refusal(program)
    off = run(val.main, ["--weights", str(weights), *data, "--int8", "--compile", "off"], tmp_path)
    assert "int8 needs a compiled program" in off.refusal("yolo.val")
    file = json.loads(exported.out)["files"][0]
    with pytest.raises(ConfigError, match="has its precision"):
        Detector(file, int8=shop.data)


def test_a_data_set_without_these_classes_calibrates_only(shop: Workshop, weights: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(shop.data.read_text())
    other = write_yaml(tmp_path / "other.yaml", {**content, "names": ["a", "b", "c"]})
    done = export_int8(weights, "--data", str(other), "--json")
    assert done.code == 0 and "mAP is not measured" in done.err
    assert "map50_95_int8" not in json.loads(done.out)["int8"]


@needs_parity
@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("imgsz, fp32", [(320, 0.284), pytest.param(640, 0.364, marks=pytest.mark.stress)])
def test_coco128_loses_little(tmp_path: Path, imgsz: int, fp32: float) -> None:
    """YOLOv5n, calibrated on one half of the images: mAP50-95 of all within 0.015 of fp32."""
    content = yaml.safe_load((PRESETS / "coco128.yaml").read_text())
    folder = PARITY / "data/coco128"
    images = sorted((folder / "images/train2017").iterdir())
    chosen = tmp_path / "half.txt"
    chosen.write_text("\n".join(map(str, images[::2])) + "\n")
    given = {**content, "path": str(folder), "train": str(chosen), "download": None}
    data = write_yaml(tmp_path / "coco128.yaml", given)
    argv = [
        "--weights",
        str(PARITY / "weights/yolov5n.pt"),
        "--data",
        str(data),
        "--batch-size",
        "8",
        "--imgsz",
        str(imgsz),
    ]
    done = run(val.main, [*argv, "--int8", "--noplots", "--json", "--project", str(tmp_path)], tmp_path)
    assert done.code == 0, done.err
    cost = json.loads(done.out)["int8"]
    assert cost["map50_95_fp32"] == pytest.approx(fp32, abs=0.003)
    assert cost["map50_95_fp32"] - cost["map50_95_int8"] < 0.015
