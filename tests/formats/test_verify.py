"""Exports of the command are verified; what fails is not kept, what cannot be verified is called so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml

import yolo
from tests.formats.detectors import lively
from tests.program.networks import two_levels
from tests.train.samples import make_data, run
from yolo import export
from yolo.formats import runtimes
from yolo.formats.agreement import UNITS
from yolo.formats.installed import EXTRAS
from yolo.inference.models import ModelOptions, load_models
from yolo.models.weights.safetensors_io import save_checkpoint
from yolo.models.weights.transfer import checkpoint_of
from yolo.program.detection import NmsSettings

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "yolo.export"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, checkpoint_of(lively(two_levels()), ("red", "blue")))
    return path


def exported(weights: Path, *options: str, code: int = 0):
    done = run(export.main, ["--weights", str(weights), "--imgsz", "64", *options], weights.parent)
    assert done.code == code, done.err
    return done


def verdict_of(path: Path) -> dict:
    return json.loads(path.with_name(f"{path.name}.verified.json").read_text())


@pytest.mark.covers("export", "dynamic")
def test_both_formats_and_their_verdicts(weights: Path) -> None:
    done = exported(weights, "--include", "onnx,openvino", "--dynamic", "--json")
    found = json.loads(done.out)
    folder, file = weights.parent / "small_openvino_model", weights.with_suffix(".onnx")
    assert found["files"] == [str(file), str(folder)]
    assert sorted(path.name for path in folder.iterdir()) == ["metadata.yaml", "small.bin", "small.xml"]
    for verdict, path, limit in zip(found["verified"], (file, folder), (1e-4, 1e-3)):
        assert (verdict["verdict"], verdict["tolerance"], verdict["output"]) == ("verified", limit, "decoded")
        assert verdict["shapes"][0] == [2, 3, 64, 64] and verdict["shapes"][-1] == [2, 3, 32, 32]
        assert 0 < verdict["difference"] <= limit
        detections = verdict["detections"]
        assert detections["ours"] == detections["theirs"] > 0 == detections["different"]
        kept = verdict_of(path)
        assert len(kept.pop("sha256")) == (1 if path == file else 3) and kept == verdict
    assert not list(weights.parent.glob(".*"))
    assert f"{file}: verified by onnxruntime 1." in done.err and f"{folder}: verified by openvino 20" in done.err


@pytest.mark.covers("export", "batch_size")
@pytest.mark.parametrize("include", ["onnx", "openvino"])
def test_mean_average_precision_of_both(weights: Path, include: str, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", size=(48, 64))
    for options in (("--batch", "4", "--imgsz", "48", "64"), ("--dynamic", "--nms", "--max-det", "50")):
        exported(weights, "--include", include, "--data", str(data), *options)
        verdict = verdict_of(weights.parent / {"onnx": "small.onnx", "openvino": "small_openvino_model"}[include])
        assert verdict["map_images"] == 6 and verdict["shapes"][0][0] == 6
        assert verdict["map50_95"]["ours"] == pytest.approx(verdict["map50_95"]["theirs"], abs=1e-3)


def test_a_state_dict(weights: Path) -> None:
    done = exported(weights, "--include", "pt", "--json")
    path = weights.with_name("small_state_dict.pt")
    (verdict,) = json.loads(done.out)["verified"]
    assert (verdict["format"], verdict["file"], verdict["equal"]) == ("pt", str(path), True)
    assert verdict["verdict"] == ("unverified" if "torch" in verdict["not_read_by"] else "verified")
    kept = verdict_of(path)
    assert sorted(kept["sha256"]) == ["small_state_dict.pt", "small_state_dict.yaml"]
    assert f"{path}: {verdict['verdict']}" in done.err and "in YOLOv5: " in done.err
    names = ("small.safetensors", path.name, path.with_suffix(".yaml").name, f"{path.name}.verified.json")
    assert {entry.name for entry in weights.parent.iterdir()} == set(names)


def test_data_of_other_classes_lends_its_images_alone(weights: Path, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    data.write_text(data.read_text().replace("- blue", "- blue\n- green"))
    done = exported(weights, "--include", "onnx", "--data", str(data))
    assert "mAP is not measured" in done.err and "map50" not in verdict_of(weights.with_suffix(".onnx"))


@pytest.mark.parametrize("output", [(), ("--heads",), ("--nms",)])
def test_a_file_that_gives_something_else_is_not_kept(
    weights: Path, output: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(weights, "--include", "onnx", *output)
    before = weights.with_suffix(".onnx").read_bytes(), verdict_of(weights.with_suffix(".onnx"))
    call = runtimes.OnnxRuntime.__call__

    def changed(self, images):
        found = call(self, images)
        found[0] = found[0] * np.float32(1.01)
        return found

    monkeypatch.setattr(runtimes.OnnxRuntime, "__call__", changed)
    line = exported(weights, "--include", "onnx", *output, code=1).refusal(PROGRAM, 1)
    assert line.startswith(f"{weights.with_suffix('.onnx')}: is not kept: by onnxruntime 1.") and "differ" in line
    assert (weights.with_suffix(".onnx").read_bytes(), verdict_of(weights.with_suffix(".onnx"))) == before
    assert not list(weights.parent.glob(".*"))


def test_a_folder_that_gives_something_else_is_not_kept(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = runtimes.OpenVino.__call__
    monkeypatch.setattr(runtimes.OpenVino, "__call__", lambda self, images: [call(self, images)[0] + np.float32(0.01)])
    exported(weights, "--include", "openvino", code=1)
    assert [path.name for path in weights.parent.iterdir()] == ["small.safetensors"]


def test_a_file_that_its_runtime_refuses_is_not_kept(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo.formats.onnx_file.OnnxRuntime", lambda model: runtimes.OnnxRuntime(b"no model"))
    line = exported(weights, "--include", "onnx", code=1).refusal(PROGRAM, 1)
    assert line.startswith(f"{weights.with_suffix('.onnx')}: is not kept: its runtime refuses it (")
    assert [path.name for path in weights.parent.iterdir()] == ["small.safetensors"]


def test_without_a_runtime_it_is_unverified(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo.formats.onnx_file.is_installed", lambda package: False)
    done = exported(weights, "--include", "onnx")
    assert f"{weights.with_suffix('.onnx')}: unverified: onnxruntime is not installed" in done.err
    verdict = verdict_of(weights.with_suffix(".onnx"))
    assert verdict["verdict"] == "unverified" and "onnxruntime" in verdict["reason"]


@pytest.mark.parametrize(("include", "package"), [("onnx", "onnx"), ("openvino", "openvino")])
def test_without_the_package_the_extra_is_named(
    weights: Path, include: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yolo.formats.installed.is_installed", lambda name: name != package)
    line = exported(weights, "--include", "program", include, code=2).refusal(PROGRAM)
    needed = " ".join(EXTRAS[include])
    assert line.startswith(f"--include {include}: needs the package {package}; pip install {needed}, or leave")
    assert f'"{include}": {json.dumps(EXTRAS[include])}' in (ROOT / "setup.py").read_text(encoding="utf-8")
    assert [path.name for path in weights.parent.iterdir()] == ["small.safetensors"]


def test_what_the_files_say_of_themselves(weights: Path) -> None:
    exported(weights, "--include", "onnx", "openvino", "--nms", "--iou-thres", "0.6")
    model = onnx.load(weights.with_suffix(".onnx"))
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert (facts["stride"], facts["names"]) == ("8", "{0: 'red', 1: 'blue'}")
    assert (facts["task"], facts["version"], facts["imgsz"]) == ("detect", yolo.__version__, "[64, 64]")
    assert (facts["output"], facts["iou_thres"], json.loads(facts["strides"])) == ("detections", "0.6", [4, 8])
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)
    folder = weights.parent / "small_openvino_model"
    said = yaml.safe_load((folder / "metadata.yaml").read_text())
    assert (said["stride"], said["names"]) == (8, {0: "red", 1: "blue"})
    assert {name: str(value) for name, value in said.items() if name in ("task", "output")} == {
        "task": "detect",
        "output": "detections",
    }
    assert 'element_type="f16"' not in (folder / "small.xml").read_text()


def test_a_folder_with_other_files_is_left_alone(weights: Path) -> None:
    folder = weights.parent / "small_openvino_model"
    exported(weights, "--include", "openvino")
    exported(weights, "--include", "openvino")  # takes the place of the first
    (folder / "notes.txt").write_text("mine")
    line = exported(weights, "--include", "openvino", code=2).refusal(PROGRAM)
    assert line.startswith(f"{folder}: holds 'notes.txt', which is no part of an export; ")
    assert (folder / "notes.txt").read_text() == "mine" and len(list(folder.iterdir())) == 4


def test_a_file_where_the_folder_goes_is_left_alone(weights: Path) -> None:
    folder = weights.parent / "small_openvino_model"
    folder.write_text("mine")
    line = exported(weights, "--include", "openvino", code=2).refusal(PROGRAM)
    assert line == f"{folder}: is a file; move it elsewhere" and folder.read_text() == "mine"


def test_a_disk_that_fills_up_under_openvinos_writer_is_one_line(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr("openvino.save_model", full)
    line = exported(weights, "--include", "openvino", code=2).refusal(PROGRAM)
    assert line.startswith(f"{weights.parent / 'small_openvino_model'}: could not be written: ") and "disk" in line
    assert list(weights.parent.iterdir()) == [weights]


@pytest.mark.parametrize("include", ["onnx", "program", "pt"])
def test_a_folder_where_the_file_goes_is_left_alone(weights: Path, include: str) -> None:
    folder = weights.parent / {"pt": "small_state_dict.pt"}.get(include, f"small.{include}")
    folder.mkdir()
    line = exported(weights, "--include", include, code=2).refusal(PROGRAM)
    assert line.startswith(f"{folder}: Is a directory; move ")
    assert sorted(weights.parent.iterdir()) == sorted((weights, folder)) and not list(folder.iterdir())


def test_an_onnx_file_is_told_by_its_content(weights: Path) -> None:
    exported(weights, "--include", "onnx")
    file = weights.with_suffix(".onnx").rename(weights.parent / "other.pt")
    line = exported(file, "--include", "onnx", code=2).refusal(PROGRAM)
    assert line == f"{file}: is an ONNX file for other runtimes; name the weights that it was made from"


@pytest.mark.covers("export", "nms", "conf_thres", "iou_thres", "max_det", "agnostic_nms")
def test_suppression_inside(weights: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    options = ("--conf-thres", "0.3", "--iou-thres", "0.2", "--max-det", "7", "--agnostic-nms")
    exported(weights, "--include", "onnx", "--nms", *options)
    settings = NmsSettings(0.3, 0.2, 7, agnostic=True)
    given = image.transpose(2, 0, 1)[None]
    rows, counts = runtimes.OnnxRuntime(weights.with_suffix(".onnx"))(given.astype(np.float32) / np.float32(255))
    found = load_models([weights], ModelOptions(device="cpu"))[0].runner(settings).detect(given)
    assert counts.tolist() == found.counts.tolist() == [7] and rows.shape == (1, 7, 6)
    np.testing.assert_allclose(rows, found.rows, rtol=1e-4, atol=1e-4)
    assert verdict_of(weights.with_suffix(".onnx"))["suppression"]["different"] == 0


@pytest.mark.covers("export", "heads", "opset")
def test_raw_heads_of_an_older_opset(weights: Path) -> None:
    exported(weights, "--include", "onnx", "--heads", "--opset", "13")
    model = onnx.load(weights.with_suffix(".onnx"))
    assert [output.name for output in model.graph.output] == ["head0", "head1"]
    assert (model.opset_import[0].version, model.ir_version) == (13, 7)
    verdict = verdict_of(weights.with_suffix(".onnx"))
    assert (verdict["output"], verdict["unit"]) == ("heads", UNITS["heads"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--include pt --half", "--half: is for --include program alone: pt is written in float32; "),
        ("--include onnx --half", "--half: is for --include program alone: onnx is written in float32; "),
        ("--include program,openvino --int8 --data x.yaml", "--int8: is for --include program alone: openvino "),
        ("--nms", "--nms: is for --include onnx and openvino; "),
        ("--dynamic --include program", "--dynamic: is for --include onnx and openvino; "),
        ("--include onnx --nms --heads", "--heads --nms: cannot be combined; choose one"),
        ("--include onnx --max-det 10", "--max-det: is of the suppression in a file; add --nms"),
        ("--include onnx --opset 12", "--opset: is 12; give between 13 and 17"),
        ("--include engine", "--include: there is no format 'engine'; there is program, "),
        ("--include", "argument --include: expected at least one argument; "),
    ],
)
def test_what_is_refused(weights: Path, options: str, says: str) -> None:
    line = exported(weights, *options.split(), code=2).refusal(PROGRAM)
    assert line.startswith(says)
    assert [path.name for path in weights.parent.iterdir()] == ["small.safetensors"]
