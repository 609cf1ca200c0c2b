"""The val command on a small network that was trained on coloured rectangles."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.bfloat16 import HAS_BF16
from tests.train_samples import Done, Workshop, run, write_yaml
from yolo import export, val
from yolo.models.weights.safetensors_io import read_safetensors, save_checkpoint

PROGRAM = "yolo.val"
PICTURES = {
    *("PR_curve.png", "F1_curve.png", "P_curve.png", "R_curve.png", "confusion_matrix.png"),
    *("val_batch0_labels.jpg", "val_batch0_pred.jpg", "val_batch1_labels.jpg", "val_batch1_pred.jpg"),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("val"))


@pytest.fixture(scope="module")
def trained(shop: Workshop) -> Done:
    done = shop.train("learnt", "--noplots", "--json", epochs="120", optimizer="AdamW")
    assert done.code == 0, done.err
    return done


@pytest.fixture
def measure(shop: Workshop, trained: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the command on the best weights, in a folder of this test's own."""
    monkeypatch.chdir(tmp_path)

    def call(*flags: str, **instead: str) -> Done:
        options = {
            "--weights": str(trained.folder / "weights/best.safetensors"),
            "--data": str(shop.data),
            "--imgsz": "64",
            "--batch-size": "4",
            "--device": "cpu",
            "--project": str(tmp_path / "runs"),
            **{f"--{name.replace('_', '-')}": value for name, value in instead.items()},
        }
        argv = [*(word for pair in options.items() for word in pair), *flags]
        return run(val.main, argv, Path(options["--project"]) / options.get("--name", "exp"))

    return call


def result(done: Done) -> dict:
    assert done.code == 0, done.err
    assert done.out.count("\n") == 1
    return json.loads(done.out)


def table(done: Done) -> list[list[str]]:
    assert done.code == 0, done.err
    return [line.split() for line in done.out.splitlines()]


@pytest.mark.covers("val", "weights", "data", "imgsz", "batch_size", "device", "project", "name")
def test_files_and_table(measure) -> None:
    done = measure()
    lines = table(done)
    assert lines[0] == ["class", "images", "labels", "P", "R", "mAP50", "mAP50-95"]
    assert [line[:3] for line in lines[1:]] == [["all", "6", "12"], ["red", "6", "6"], ["blue", "6", "6"]]
    assert np.mean([float(line[5]) for line in lines[2:]]) == pytest.approx(float(lines[1][5]), abs=0.001)
    assert {str(path.relative_to(done.folder)) for path in done.folder.rglob("*")} == PICTURES
    for name in PICTURES:
        with Image.open(done.folder / name) as image:
            assert min(image.convert("RGB").size) >= 64, name
    assert done.err.splitlines()[-1].startswith("a picture took ") and str(done.folder) in done.err


def test_the_figures_are_those_that_training_gave(measure, trained: Done) -> None:
    ours, theirs = result(measure("--json", "--noplots")), json.loads(trained.out)
    assert theirs["metrics"]["map50"] > 0.6
    for name, value in theirs["metrics"].items():
        assert ours["metrics"][name] == pytest.approx(value, abs=1e-3), name
    assert [row["labels"] for row in ours["per_class"]] == [6, 6]


@pytest.mark.covers("val", "json", "noplots")
def test_json(measure) -> None:
    done = measure("--json", "--noplots")
    found = result(done)
    assert set(found) == {"schema_version", "command", "save_dir", "metrics", "per_class", "speed_ms"}
    assert (found["schema_version"], found["command"], found["save_dir"]) == (1, "val", str(done.folder))
    assert set(found["metrics"]) == {"precision", "recall", "map50", "map50_95"}
    for number, row in enumerate(found["per_class"]):
        assert set(row) == {"class", "name", "labels", *found["metrics"]}
        assert (row["class"], row["name"]) == (number, ("red", "blue")[number])
    for name, value in found["metrics"].items():
        assert value == pytest.approx(np.mean([row[name] for row in found["per_class"]]))
    assert set(found["speed_ms"]) == {"preprocess", "inference", "nms"} and min(found["speed_ms"].values()) > 0
    assert list(done.folder.iterdir()) == []
    assert result(measure("--json", "--noplots"))["save_dir"].endswith("exp2")


@pytest.mark.covers("val", "task")
@pytest.mark.parametrize(("task", "pictures"), [("train", "8"), ("val", "6"), ("test", "3")])
def test_the_part_of_the_data_set(measure, task: str, pictures: str) -> None:
    assert table(measure("--noplots", task=task))[1][:3] == ["all", pictures, str(2 * int(pictures))]


@pytest.mark.covers("val", "verbose")
def test_many_classes_are_listed_on_request(measure, shop: Workshop, tmp_path: Path) -> None:
    """Weights and data with 25 classes, of which two occur."""
    content = yaml.safe_load(shop.data.read_text())
    names = ["red", "blue", *(f"class {number}" for number in range(23))]
    data = str(write_yaml(tmp_path / "many.yaml", {**content, "names": names}))
    wide = shop.train("wide", "--noplots", data=data, epochs="1")
    assert wide.code == 0, wide.err
    weights = str(wide.folder / "weights/best.safetensors")
    assert len(table(measure("--noplots", weights=weights, data=data))) == 2
    lines = table(measure("--noplots", "--verbose", weights=weights, data=data))
    assert [line[0] for line in lines] == ["class", "all", "red", "blue"]


def labels_in(done: Done) -> dict[str, np.ndarray]:
    assert done.code == 0, done.err
    texts = {path.stem: path.read_text() for path in sorted((done.folder / "labels").iterdir())}
    return {name: np.array([line.split() for line in text.splitlines()], float) for name, text in texts.items()}


def test_label_files_are_named_like_their_pictures(measure) -> None:
    assert list(labels_in(measure("--noplots", "--save-txt"))) == [f"{number:03}" for number in range(6)]


@pytest.mark.covers("val", "save_txt", "save_conf")
def test_label_files(measure, shop: Workshop) -> None:
    """A sure detection of a picture lies on one of its two labels."""
    plain, sure = (
        measure("--noplots", "--save-txt", *flags, conf_thres="0.2", name=f"exp{len(flags)}")
        for flags in ((), ("--save-conf",))
    )
    found = labels_in(sure)
    assert len(found) == 6 and sum(map(len, found.values())) >= 6
    for (name, rows), without in zip(found.items(), labels_in(plain).values()):
        if not len(rows):
            continue
        assert rows.shape[1] == 6 and set(rows[:, 0]) <= {0, 1}
        assert (rows[:, 5] > 0.2).all() and (np.diff(rows[:, 5]) >= 0).all()
        truth = np.loadtxt(shop.data.parent / f"labels/val/{name}.txt")
        near = np.abs(rows[:, None, 1:5] - truth[None, :, 1:]).max(2).min(1)
        assert near.max() < 0.2 and np.median(near) < 0.1, near
        np.testing.assert_array_equal(rows[:, :5], without)


@pytest.mark.covers("val", "save_json")
def test_cocos_json(measure) -> None:
    done = measure("--noplots", "--json", "--save-json")
    found = result(done)
    assert set(found["coco"]) == {"map50", "map50_95"}
    for name, value in found["coco"].items():
        assert value == pytest.approx(found["metrics"][name], abs=0.1) and value > 0.2, name
    rows = json.loads((done.folder / "best_predictions.json").read_text())
    assert len(rows) > 12
    for row in rows:
        assert set(row) == {"image_id", "category_id", "bbox", "score"}
        x, y, w, h = row["bbox"]
        assert min(x, y, w, h) >= 0 and max(x + w, y + h) <= 64.01 and 0 < row["score"] <= 1
    assert len({row["image_id"] for row in rows}) == 6 and {row["category_id"] for row in rows} <= {0, 1}
    assert "COCO's rule: mAP50 " in done.err


@pytest.mark.covers("val", "single_cls")
def test_one_class(measure) -> None:
    (row,) = result(measure("--noplots", "--json", "--single-cls"))["per_class"]
    assert (row["class"], row["name"], row["labels"]) == (0, "item", 12)


@pytest.mark.covers("val", "max_det", "conf_thres")
def test_thresholds_and_limits(measure) -> None:
    usual = result(measure("--noplots", "--json"))["metrics"]
    few = result(measure("--noplots", "--json", max_det="1"))["metrics"]
    assert few["recall"] <= 0.5 < usual["recall"]
    nothing = result(measure("--noplots", "--json", conf_thres="1"))
    assert set(nothing["metrics"].values()) == {0}
    assert [row["labels"] for row in nothing["per_class"]] == [6, 6]


@pytest.mark.covers("val", "iou_thres")
def test_overlapping_boxes(measure) -> None:
    few, many = (
        sum(len(rows) for rows in labels_in(measure("--noplots", "--save-txt", iou_thres=iou, project=iou)).values())
        for iou in ("0", "1")
    )
    assert few < many


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
    found = result(measure("--json", "--weights", *files, task="speed"))
    assert set(found) == {"schema_version", "command", "save_dir", "speed"} and found["save_dir"] is None
    assert [row["weights"] for row in found["speed"]] == files
    for row in found["speed"]:
        assert set(row) == {"weights", "metrics", "per_class", "speed_ms"} and min(row["speed_ms"].values()) > 0
        assert [one["labels"] for one in row["per_class"]] == [6, 6]
    # Square pictures, few detections: less is recalled than by a validation that keeps nearly all.
    usual = result(measure("--json", "--noplots"))["metrics"]
    assert found["speed"][0]["metrics"]["map50"] > 0.3 and found["speed"][0]["metrics"] != usual
    assert len(table(measure(task="speed"))) == 4 and not (tmp_path / "runs/exp2").exists()


@pytest.mark.covers("val", "study_sizes")
def test_a_study(measure, trained: Done, other: str) -> None:
    files = [str(trained.folder / "weights/best.safetensors"), other]
    done = measure("--json", "--weights", *files, "--study-sizes", "64", "96", task="study")
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


@pytest.mark.covers("val", "workers", "exist_ok")
def test_one_folder_and_no_threads(measure) -> None:
    first, again = (result(measure("--noplots", "--json", "--exist-ok", workers=count)) for count in ("0", "2"))
    assert first["metrics"] == again["metrics"] and first["save_dir"] == again["save_dir"]


@pytest.mark.covers("val", "compile")
def test_without_compiling(measure) -> None:
    plain, compiled = (result(measure("--noplots", "--json", compile=mode))["metrics"] for mode in ("off", "program"))
    assert plain == pytest.approx(compiled, abs=2e-3) and plain["map50"] > 0.3
    assert "bf16 needs a compiled program" in measure("--half", compile="off").refusal(PROGRAM)


@pytest.mark.covers("val", "half")
def test_half(measure) -> None:
    done = measure("--noplots", "--json", "--half")
    if HAS_BF16:
        exact = result(measure("--noplots", "--json"))["metrics"]
        assert result(done)["metrics"] == pytest.approx(exact, abs=0.1) and result(done)["metrics"] != exact
    else:
        assert "bf" in done.refusal(PROGRAM)


def test_a_compiled_detector_is_measured(measure, trained: Done) -> None:
    weights = trained.folder / "weights/best.safetensors"
    assert run(export.main, ["--weights", str(weights), "--imgsz", "64"], weights.parent).code == 0
    ours = result(measure("--noplots", "--json", weights=str(weights.with_suffix(".program"))))
    assert ours["metrics"] == result(measure("--noplots", "--json"))["metrics"]


def test_weights_for_another_number_of_classes(measure, shop: Workshop, tmp_path: Path) -> None:
    content = yaml.safe_load(shop.data.read_text())
    data = write_yaml(tmp_path / "three.yaml", {**content, "names": ["red", "blue", "green"]})
    done = measure(data=str(data))
    assert f"the weights know 2 classes, {data} has 3; name the data set" in done.refusal(PROGRAM)
    assert done.out == "" and not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("instead", "message"),
    [
        ({"data": "absent.yaml"}, "absent.yaml: no such data set file"),
        ({"weights": "absent.pt"}, "no weights 'absent.pt'"),
        ({"study_sizes": "0", "task": "study"}, "--study-sizes: is 0; give at least 1"),
        ({"task": "all"}, "argument --task: invalid choice: 'all'"),
        ({"conf_tres": "0.1"}, "unknown option --conf-tres; did you mean --conf-thres?"),
        ({"conf_thres": "nan"}, "--conf-thres: is nan; give between 0 and 1"),
        ({"iou_thres": "2"}, "--iou-thres: is 2.0; give between 0 and 1"),
        ({"max_det": "0"}, "--max-det: is 0; give at least 1"),
    ],
)
def test_what_is_wrong_is_one_line(measure, tmp_path: Path, instead: dict[str, str], message: str) -> None:
    done = measure(**instead)
    assert done.refusal(PROGRAM).startswith(message)
    assert done.out == "" and not (tmp_path / "runs").exists()


def test_a_split_that_is_not_there(measure, shop: Workshop, tmp_path: Path) -> None:
    content = yaml.safe_load(shop.data.read_text())
    del content["test"]
    data = write_yaml(tmp_path / "two.yaml", content)
    assert measure(data=str(data), task="test").refusal(PROGRAM).startswith(f"{data}: no split 'test'")


def test_a_data_set_without_labels_gives_zeros(measure, shop: Workshop, tmp_path: Path) -> None:
    root = Path(shutil.copytree(shop.data.parent, tmp_path / "copy"))
    shutil.rmtree(root / "labels")
    data = write_yaml(tmp_path / "bare.yaml", {**yaml.safe_load(shop.data.read_text()), "path": str(root)})
    found = result(measure("--json", "--save-json", data=str(data)))
    assert set(found["metrics"].values()) == {0} and found["per_class"] == []
