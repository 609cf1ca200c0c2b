"""The val command on ensembles, views, precisions and compiled files, and over sizes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.bfloat16 import HAS_BF16
from tests.data.renderers import stand_ins
from tests.train.samples import Done, Workshop, run
from tests.val.outcome import assert_alike, labels_in, result, table
from yolo import export
from yolo.models.weights.safetensors_io import read_safetensors, save_checkpoint
from yolo.program.inference.planner import plan_inference

PROGRAM = "yolo.val"
FOUND = ("--noplots", "--json", "--save-txt", "--save-conf")
"""So that what was found can be compared."""


@pytest.fixture(scope="module")
def other(trained: Done, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights that are near the trained ones, and others."""
    checkpoint, rng = read_safetensors(trained.folder / "weights/best.safetensors"), np.random.default_rng(0)
    model = {
        name: values * rng.normal(1, 0.03, values.shape).astype(np.float32) if name.endswith(".conv.weight") else values
        for name, values in checkpoint.model.items()
    }
    path = tmp_path_factory.mktemp("other") / "best.safetensors"
    return str(save_checkpoint(path, dataclasses.replace(checkpoint, model=model)))


@pytest.mark.covers("val", "weights")
def test_an_ensemble(measure, trained: Done, other: str) -> None:
    best, second = str(trained.folder / "weights/best.safetensors"), other
    alone = result(measure("--noplots", "--json"))["metrics"]
    # A network with itself: of each box and its like one is suppressed.
    assert result(measure("--noplots", "--json", "--weights", best, best))["metrics"] == alone
    done = measure("--noplots", "--json", "--save-txt", "--weights", best, second, name="both")
    assert result(done)["metrics"]["map50"] > 0.3 and result(done)["metrics"] != alone

    def boxes(name: str, *files: str) -> int:
        """How many there are without suppression."""
        given = ("--weights", *files)
        rows = labels_in(measure("--noplots", "--save-txt", *given, iou_thres="1", conf_thres="0.1", name=name))
        return sum(map(len, rows.values()))

    assert boxes("joined", best, second) == boxes("first", best) + boxes("second", second) > boxes("first2", best)


@pytest.mark.covers("val", "augment")
def test_augmentation(measure) -> None:
    plain, thrice = (
        labels_in(measure("--noplots", "--save-txt", *flags, conf_thres="0.2", iou_thres="1", project=f"p{len(flags)}"))
        for flags in ((), ("--augment",))
    )
    assert sum(map(len, thrice.values())) > sum(map(len, plain.values()))
    found = result(measure("--noplots", "--json", "--augment"))["metrics"]
    assert found["map50"] > 0.3 and found != result(measure("--noplots", "--json"))["metrics"]


@pytest.mark.covers("val", "save_hybrid")
def test_labels_together_with_detections(measure, shop: Workshop) -> None:
    """Every label is found, because it is among the detections, and comes first."""
    done = measure("--noplots", "--json", "--save-hybrid", "--save-conf")
    metrics = result(done)["metrics"]
    assert metrics["map50"] == pytest.approx(0.995) and metrics["recall"] == pytest.approx(1)
    for name, rows in labels_in(done).items():
        truth = np.loadtxt(shop.data.parent / f"labels/val/{name}.txt")
        sure = rows[rows[:, 5] == 1]
        assert len(sure) == 2 < len(rows)
        np.testing.assert_allclose(sure[np.argsort(sure[:, 0]), :5], truth[np.argsort(truth[:, 0])], atol=2e-5)


@pytest.mark.covers("val", "task")
def test_speed(measure, trained: Done, other: str, tmp_path: Path) -> None:
    files = [str(trained.folder / "weights/best.safetensors"), other]
    done = measure("--json", "--save-txt", "--save-json", "--weights", *files, task="speed")
    assert "--task speed writes no files per image: without --save-txt, --save-json" in done.err
    found = result(done)
    assert set(found) == {"schema_version", "command", "save_dir", "speed"} and found["save_dir"] is None
    assert [row["weights"] for row in found["speed"]] == files
    for row in found["speed"]:
        assert set(row) == {"weights", "metrics", "per_class", "undetected", "speed_ms"}
        assert min(row["speed_ms"].values()) > 0
        assert [one["labels"] for one in row["per_class"]] == [6, 6]
    # Square images, few detections: less is recalled than by a validation that keeps nearly all.
    usual = result(measure("--json", "--noplots"))["metrics"]
    assert found["speed"][0]["metrics"]["map50"] > 0.3 and found["speed"][0]["metrics"] != usual
    assert len(table(measure(task="speed"))) == 4 and not (tmp_path / "runs/exp2").exists()


@pytest.mark.covers("val", "study_sizes")
def test_a_study(measure, trained: Done, other: str) -> None:
    files = [str(trained.folder / "weights/best.safetensors"), other]
    done = measure("--json", "--weights", *files, files[0], "--study-sizes", "64", "96", task="study")
    found = result(done)
    assert {path.name for path in done.folder.iterdir()} == {
        "study_data_best.txt",
        "study_data_best_2.txt",
        "study.png",
    }
    with Image.open(found["picture"]) as image:
        assert min(image.convert("RGB").size) >= 640
    usual = result(measure("--json", "--noplots", name="usual"))["metrics"]
    assert found["study"][0]["sizes"][0]["metrics"] == usual
    for study, weights in zip(found["study"], files):
        assert (study["weights"], [row["imgsz"] for row in study["sizes"]]) == (weights, [64, 96])
        rows = np.loadtxt(study["file"])
        assert rows.shape == (2, 10) and not rows[:, 4:7].any()
        for numbers, row in zip(rows, study["sizes"]):
            expected = [*row["metrics"].values(), 0, 0, 0, *row["speed_ms"].values()]
            assert numbers == pytest.approx(expected, rel=1e-3)
    without = measure("--json", "--noplots", "--study-sizes", "64", task="study", name="without")
    assert [path.name for path in without.folder.iterdir()] == ["study_data_best.txt"]
    assert result(without)["picture"] is None


@pytest.mark.covers("val", "workers", "exist_ok")
def test_one_folder_and_no_threads(measure) -> None:
    first, again = (result(measure("--noplots", "--json", "--exist-ok", workers=count)) for count in ("0", "2"))
    assert first["metrics"] == again["metrics"] and first["save_dir"] == again["save_dir"]


@pytest.mark.covers("val", "loader")
def test_loaders(measure, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_ins.install(monkeypatch)
    opencv, both = measure("--json", "--noplots", loader="opencv"), measure("--json", "--noplots")
    assert result(opencv)["metrics"] == result(both)["metrics"]
    assert result(opencv)["loader"]["rendered"] == {"OpenCVRenderer": 6} and "samples rendered" not in opencv.err
    assert both.err.count("samples rendered: 3 by NativeRenderer, 3 by OpenCVRenderer\n") == 1
    absent = measure("--noplots", loader="dali")
    assert absent.refusal(PROGRAM) == "--loader dali: DALI is not installed; install the extra dali"
    assert not absent.folder.with_name("exp3").exists()


@pytest.mark.covers("val", "compile")
def test_without_compiling(measure) -> None:
    plain, compiled = (measure(*FOUND, compile=mode, name=mode) for mode in ("off", "program"))
    assert_alike(plain, compiled, map_within=2e-3, conf_within=1e-3)
    assert result(plain)["metrics"]["map50"] > 0.3
    assert "bf16 needs a compiled program" in measure("--half", compile="off").refusal(PROGRAM)


@pytest.mark.covers("val", "exact")
def test_exact(measure, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def plan(*args, exact: bool):
        asked.append(exact)
        return plan_inference(*args, exact=exact)

    monkeypatch.setattr("yolo.program.compiled.plan_inference", plan)
    fast = measure(*FOUND, name="fast")
    assert asked and not any(asked)
    asked.clear()
    exact = measure(*FOUND, "--exact", name="exact")
    assert asked and all(asked)
    assert_alike(fast, exact, map_within=2e-3, conf_within=1e-3)


@pytest.mark.covers("val", "half")
def test_half(measure) -> None:
    done = measure(*FOUND, "--half", name="half")
    if HAS_BF16:
        exact = measure(*FOUND, name="exact")
        assert_alike(done, exact, map_within=0.05, conf_within=0.05)
        assert any(not np.array_equal(rows, labels_in(exact)[name]) for name, rows in labels_in(done).items())
    else:
        assert "bf" in done.refusal(PROGRAM)


def test_a_compiled_detector_is_measured(measure, trained: Done) -> None:
    weights = trained.folder / "weights/best.safetensors"
    assert run(export.main, ["--weights", str(weights), "--imgsz", "64"], weights.parent).code == 0
    ours = result(measure("--noplots", "--json", weights=str(weights.with_suffix(".program"))))
    assert ours["metrics"] == result(measure("--noplots", "--json"))["metrics"]


def test_a_size_that_memory_has_no_room_for(measure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo.program.footprint.free_memory", lambda **_: 10**9)
    done = measure("--noplots", imgsz="100000")
    assert not done.folder.exists()
    line = done.refusal(PROGRAM)
    assert line.startswith("--imgsz 100000: 4 images of 100008 x 100008 pixels take at least 1"), line
    assert line.endswith(" GB of memory, and 1.00 GB are free; lower --imgsz or --batch-size")


def test_more_detections_than_come_out_of_the_suppression(measure) -> None:
    done = measure("--noplots", max_det="100000")
    assert done.code == 0 and done.err.count("--max-det 100000: using 30000, so many candidates enter") == 1
