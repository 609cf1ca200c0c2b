"""The val command: what it measures and writes, and one line for what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.train.samples import SIZE, Done, Workshop, write_yaml
from tests.val.outcome import labels_in, result, table

PROGRAM = "yolo.val"
IMAGES = {
    *("PR_curve.png", "F1_curve.png", "P_curve.png", "R_curve.png", "confusion_matrix.png"),
    *("val_batch0_labels.jpg", "val_batch0_pred.jpg", "val_batch1_labels.jpg", "val_batch1_pred.jpg"),
}


@pytest.mark.covers("val", "weights", "data", "imgsz", "batch_size", "device", "project", "name")
def test_files_and_table(measure) -> None:
    done = measure()
    lines = table(done)
    assert lines[0] == ["class", "images", "labels", "P", "R", "mAP50", "mAP50-95"]
    assert [line[:3] for line in lines[1:]] == [["all", "6", "12"], ["red", "6", "6"], ["blue", "6", "6"]]
    assert np.mean([float(line[5]) for line in lines[2:]]) == pytest.approx(float(lines[1][5]), abs=0.001)
    assert {str(path.relative_to(done.folder)) for path in done.folder.rglob("*")} == IMAGES
    for name in IMAGES:
        with Image.open(done.folder / name) as image:
            assert min(image.convert("RGB").size) >= 64, name
    assert done.err.splitlines()[-1].startswith("speed per image: ") and str(done.folder) in done.err


def test_the_figures_are_those_that_training_gave(measure, trained: Done) -> None:
    ours, theirs = result(measure("--json", "--noplots")), json.loads(trained.out)
    assert theirs["metrics"]["map50"] > 0.6
    for name in ("map50", "map50_95"):  # P and R jump where rounding moves the best confidence
        assert ours["metrics"][name] == pytest.approx(theirs["metrics"][name], abs=1e-3), name
    assert [row["labels"] for row in ours["per_class"]] == [6, 6]


@pytest.mark.covers("val", "json", "noplots")
def test_json(measure) -> None:
    done = measure("--json", "--noplots")
    found = result(done)
    assert set(found) == {
        *("schema_version", "command", "save_dir", "metrics", "per_class", "undetected", "speed_ms", "loader"),
    }
    assert found["loader"]["bottleneck"] in ("plan", "render", "consumer") and found["loader"]["ahead"] == 2
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
@pytest.mark.parametrize(("task", "images"), [("train", "8"), ("val", "6"), ("test", "3")])
def test_the_part_of_the_data_set(measure, task: str, images: str) -> None:
    assert table(measure("--noplots", task=task))[1][:3] == ["all", images, str(2 * int(images))]


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


def test_label_files_are_named_like_their_images(measure) -> None:
    assert list(labels_in(measure("--noplots", "--save-txt"))) == [f"{number:03}" for number in range(6)]


@pytest.mark.covers("val", "save_txt", "save_conf")
def test_label_files(measure, shop: Workshop) -> None:
    """What they hold is what COCO's JSON holds in pixels, and lies on the labels as often as recall says."""
    plain = measure("--noplots", "--save-txt", conf_thres="0.2", name="plain")
    sure = measure("--noplots", "--json", "--save-txt", "--save-conf", "--save-json", conf_thres="0.2", name="sure")
    found, without = labels_in(sure), labels_in(plain)
    pixels = json.loads((sure.folder / "best_predictions.json").read_text())
    near = []
    for name, rows in found.items():
        expected = [row for row in pixels if str(row["image_id"]).zfill(3) == name]
        assert len(rows) == len(expected)
        if not len(rows):
            continue
        assert rows.shape[1] == 6 and (rows[:, 5] > 0.2).all() and (np.diff(rows[:, 5]) >= 0).all()
        np.testing.assert_array_equal(rows[:, :5], without[name])
        expected = sorted(expected, key=lambda row: row["score"])
        np.testing.assert_array_equal(rows[:, 0], [row["category_id"] for row in expected])
        corners = np.concatenate([rows[:, 1:3] - rows[:, 3:5] / 2, rows[:, 3:5]], 1) * SIZE
        np.testing.assert_allclose(corners, [row["bbox"] for row in expected], atol=0.02)
        truth = np.loadtxt(shop.data.parent / f"labels/val/{name}.txt")
        offsets = np.abs(truth[:, None, 1:3] - rows[None, :, 1:3]) <= truth[:, None, 3:5] / 2
        near += (offsets.all(2) & (truth[:, None, 0] == rows[None, :, 0])).any(1).tolist()
    assert len(found) == 6 and sum(near) >= 6, "most of the 12 objects have a detection with its middle on them"


def test_images_that_cocos_json_cannot_tell_apart_are_refused_before_any_is_looked_at(
    measure, shop: Workshop, tmp_path: Path
) -> None:
    for folder in "ab":
        for kind in ("images", "labels"):
            shutil.copytree(shop.data.parent / kind / "val", tmp_path / "twice" / kind / folder)
    content = {**yaml.safe_load(shop.data.read_text()), "path": str(tmp_path / "twice")}
    data = write_yaml(tmp_path / "twice.yaml", {**content, "train": "images/a", "val": ["images/a", "images/b"]})
    done = measure("--save-json", data=str(data))
    assert "rename one" in done.refusal(PROGRAM) and not done.folder.exists()


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


def test_weights_for_another_number_of_classes(measure, shop: Workshop, tmp_path: Path) -> None:
    content = yaml.safe_load(shop.data.read_text())
    data = write_yaml(tmp_path / "three.yaml", {**content, "names": ["red", "blue", "green"]})
    done = measure(data=str(data))
    assert f"the weights have 2 classes, {data} has 3; name the data set" in done.refusal(PROGRAM)
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
