"""``yolo.check --weights``: planted errors come first, files say where, and every option does what it says."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.bfloat16 import HAS_BF16
from tests.report.test_page import Page
from tests.test_check import label
from tests.train.samples import NAMES, SIZE, Done, make_data, run, write_yaml
from yolo import Detector, export
from yolo.check import main
from yolo.engine import label_audit

PROGRAM = "yolo.check"


@pytest.fixture(scope="module")
def weights(learnt: Done) -> Path:
    """Of a network that finds the rectangles of ``make_data``."""
    return learnt.folder / "weights/last.safetensors"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path / "data", train=8, val=4)


def rows(data: Path, split: str, number: int) -> list[list[float]]:
    return [[float(word) for word in line.split()] for line in label(data, split, number).read_text().splitlines()]


def write(data: Path, split: str, number: int, rows: list[list[float]]) -> None:
    label(data, split, number).write_text("".join(f"{int(c)} {x} {y} {w} {h}\n" for c, x, y, w, h in rows))


def audit(data: Path, weights: Path | str, *flags: str, **given: Any) -> Done:
    """The command's end in a folder of its own, for images of the size that they have."""
    usual = {"weights": weights, "data": data, "imgsz": SIZE, "project": data.parent / "runs", "device": "cpu", **given}
    return run(main, [*(str(word) for name, value in usual.items() for word in (f"--{name}", value)), *flags], data)


def audited(data: Path, weights: Path | str, *flags: str, **given: Any) -> dict[str, Any]:
    done = audit(data, weights, "--json", *flags, **given)
    assert done.code == 0, done.err
    return json.loads(done.out)["audit"]


def plant(data: Path) -> dict[tuple[str, int], str]:
    """One error of each kind, each in an image of its own."""
    first, second = rows(data, "train", 0)
    write(data, "train", 0, [second])
    first, second = rows(data, "train", 1)
    write(data, "train", 1, [first, [1 - second[0], *second[1:]]])
    first, second = rows(data, "train", 2)
    write(data, "train", 2, [[first[0], first[1], first[2] + (0.15 if first[2] < 0.5 else -0.15), *first[3:]], second])
    first, second = rows(data, "val", 0)
    write(data, "val", 0, [first, second, [first[0], 0.5, 0.05, 0.1, 0.1]])
    first, second = rows(data, "val", 1)
    write(data, "val", 1, [first, second, [*first[:3], first[3] * 0.95, first[4]]])
    kinds = ("missed", "wrong-class", "shifted", "spurious", "duplicate")
    return dict(zip((("train", 0), ("train", 1), ("train", 2), ("val", 0), ("val", 1)), kinds))


@pytest.mark.covers("check", "weights", "project", "name")
def test_planted_errors_come_first(data: Path, weights: Path) -> None:
    planted = plant(data)
    done = audit(data, weights, "--name", "planted")
    assert done.code == 0, done.err  # a finding is a question: the exit code stays
    folder = data.parent / "runs/planted"
    with open(folder / "audit.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    worst: dict[tuple[str, int], str] = {}
    for record in table:
        worst.setdefault((record["split"], int(Path(record["image"]).stem)), record["kind"])
    assert dict(list(worst.items())[:5]) == planted
    lines = {record["kind"]: record["line"] for record in reversed(table)}
    assert (lines["missed"], lines["wrong-class"], lines["shifted"]) == ("", "2", "1")
    assert lines["spurious"] == "3" and lines["duplicate"] in "13"
    assert [float(record["score"]) for record in table] == sorted((float(r["score"]) for r in table), reverse=True)
    assert f"images with findings: {folder / 'audit.html'}\nall findings: {folder / 'audit.csv'}\n" in done.err
    assert f"label audit: 15 images, 31 labels beside what {weights} finds\n" in done.out
    assert "is labelled twice: line " in done.out and " without a label (0." in done.out


def test_the_list_says_where_to_mend(data: Path, weights: Path) -> None:
    plant(data)
    found = audited(data, weights)
    assert json.loads((data.parent / "runs/exp/audit.json").read_text()) == found["findings"]
    (swapped,) = [one for one in found["findings"] if one["kind"] == "wrong-class" and one["score"] > 0.5]
    assert swapped["image"].endswith("images/train/001.png") and swapped["label_file"].endswith("labels/train/001.txt")
    category, x, y, w, h = rows(data, "train", 1)[swapped["line"] - 1]
    assert [swapped["label_class"], swapped["detection_class"]] == [NAMES[int(category)], NAMES[1 - int(category)]]
    box = [SIZE * (x - w / 2), SIZE * (y - h / 2), SIZE * (x + w / 2), SIZE * (y + h / 2)]
    assert swapped["label_box"] == pytest.approx(box, abs=0.06)
    assert np.abs(np.subtract(swapped["detection_box"], box)).max() < 6 and swapped["iou"] > 0.5
    assert found["kinds"]["wrong-class"] >= 1 and found["images"] == 15 and found["weights"] == [str(weights)]
    assert sum(row["labels"] for row in found["classes"].values()) == found["labels"] == 31


@pytest.mark.covers("check", "worst", "exist_ok")
def test_the_page_shows_the_worst(data: Path, weights: Path) -> None:
    plant(data)
    audited(data, weights, worst=2)
    audited(data, weights, "--exist-ok", worst=3)
    page = Page((data.parent / "runs/exp/audit.html").read_text())
    assert len(page.loaded) == 6 and [path.name for path in (data.parent / "runs").iterdir()] == ["exp"]
    audited(data, weights, worst=2)
    assert len(Page((data.parent / "runs/exp2/audit.html").read_text()).loaded) == 4


@pytest.mark.covers("check", "task")
def test_one_part_alone(data: Path, weights: Path) -> None:
    found = audited(data, weights, task="val")
    assert found["images"] == 4 and {one["split"] for one in found["findings"]} <= {"val"}
    write_yaml(data, {"path": str(data.parent), "train": "images/train", "val": "images/val", "names": ["red", "blue"]})
    assert "no split 'test'" in audit(data, weights, "--task", "test").refusal(PROGRAM)


def test_an_image_of_two_splits_is_looked_at_once(data: Path, weights: Path) -> None:
    write_yaml(data, {"path": str(data.parent), "train": "images/val", "val": "images/val", "names": ["red", "blue"]})
    assert audited(data, weights)["images"] == 4


@pytest.mark.covers("check", "conf_thres", "iou_thres", "max_det")
def test_thresholds(data: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 8):
        write(data, "train", number, [])

    def missed(**given: Any) -> int:
        return audited(data, weights, task="train", **given)["kinds"]["missed"]

    usual = missed()
    assert usual >= 14 and missed(**{"conf-thres": 0.999}) == 0
    assert missed(**{"max-det": 1}) == 7
    detections: list[int] = []
    real = label_audit.pair
    monkeypatch.setattr(label_audit, "pair", lambda rows, *rest: detections.append(len(rows)) or real(rows, *rest))
    counts = []
    for threshold in (0, 1):
        detections.clear()
        missed(**{"iou-thres": threshold})
        counts.append(sum(detections))
    assert counts[0] < counts[1]


def test_classes_in_another_order_go_by_name(data: Path, weights: Path) -> None:
    for split, count in (("train", 8), ("val", 4), ("test", 3)):
        for number in range(count):
            write(data, split, number, [[1 - row[0], *row[1:]] for row in rows(data, split, number)])
    content = yaml.safe_load(data.read_text())
    write_yaml(data, {**content, "names": ["blue", "red"]})
    done = audit(data, weights, "--json")
    assert json.loads(done.out)["audit"]["kinds"]["wrong-class"] == 0
    assert "in another order; they are matched by name" in done.err
    write_yaml(data, {**content, "names": ["blue", "red", "green"]})
    line = audit(data, weights).refusal(PROGRAM)
    assert line.startswith(f"{weights}: knows 2 classes, {data} has 3; compare with weights")


@pytest.mark.covers("check", "device", "augment", "compile", "exact")
def test_how_it_computes(data: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def watched(*args: Any, **options: Any) -> Detector:
        asked.append(options)
        return Detector(*args, **options)

    monkeypatch.setattr(label_audit, "Detector", watched)
    base = audited(data, weights)
    for flags in (["--augment"], ["--compile", "off"], ["--exact"]):
        other = audited(data, weights, *flags)
        assert other["images"] == 15 and other["labels"] == base["labels"]
    names = [(one["device"], one["augment"], one["compile"], one["exact"]) for one in asked]
    plain = ("cpu", False, "program", False)
    assert names == [plain, ("cpu", True, *plain[2:]), ("cpu", False, "off", False), (*plain[:3], True)]


@pytest.mark.covers("check", "half", "int8")
def test_precisions_programs_and_ensembles(data: Path, weights: Path) -> None:
    done = audit(data, weights, "--json", "--int8")
    assert done.code == 0 and "calibration images" in done.err, done.err
    half = audit(data, weights, "--json", "--half")
    assert half.code == (0 if HAS_BF16 else 2), half.err
    copy = data.parent / "copy.safetensors"
    copy.write_bytes(weights.read_bytes())
    assert run(export.main, ["--weights", str(copy), "--imgsz", str(SIZE)], data.parent).code == 0
    base, program = audited(data, weights), audited(data, copy.with_suffix(".program"))
    assert [one["text"] for one in program["findings"]] == [one["text"] for one in base["findings"]]
    both = audit(data, weights, "--json", "--weights", str(weights), str(copy))
    assert len(json.loads(both.out)["audit"]["weights"]) == 2


def test_annotations_have_no_lines(data: Path, weights: Path) -> None:
    """Labels in COCO's JSON: the file is named, and the image."""
    images = [{"id": n, "file_name": f"{n:03}.png", "width": SIZE, "height": SIZE} for n in range(4)]
    boxes = [(n, row) for n in range(4) for row in rows(data, "val", n)[:1]]
    annotations = [
        {
            "id": place, "image_id": n, "category_id": int(c) + 1, "iscrowd": 0, "area": w * h * SIZE**2,
            "bbox": [SIZE * (x - w / 2), SIZE * (y - h / 2), SIZE * w, SIZE * h],
        }
        for place, (n, (c, x, y, w, h)) in enumerate(boxes, 1)
    ]  # fmt: skip
    categories = [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}]
    file = data.parent / "images/val/instances.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    write_yaml(data, {"path": str(data.parent), "train": "images/train", "val": str(file), "names": ["red", "blue"]})
    found = audited(data, weights, task="val")
    assert found["kinds"]["missed"] >= 4 and found["labels"] == 4
    assert all(one["line"] is None and one["label_file"] == str(file) for one in found["findings"])
    assert "(000.png)" in (data.parent / "runs/exp/audit.html").read_text()


def test_nothing_to_compare(data: Path, weights: Path) -> None:
    for number in range(4):
        (data.parent / f"images/val/{number:03}.png").write_bytes(b"broken")
    line = audit(data, weights, "--task", "val").refusal(PROGRAM)
    assert line == "val: no usable image with readable labels"
    assert not (data.parent / "runs").exists()


def test_without_weights_there_is_none(data: Path) -> None:
    done = run(main, ["--data", str(data), "--json"], data.parent)
    assert json.loads(done.out)["audit"] is None and not (data.parent / "runs").exists()


@pytest.mark.parametrize(
    "flags", [("--task", "val"), ("--conf-thres", "0.5"), ("--int8",), ("--exist-ok",), ("--name", "exp3")]
)
def test_its_options_without_weights_are_refused(data: Path, flags: tuple[str, ...]) -> None:
    line = run(main, ["--data", str(data), *flags], data.parent).refusal(PROGRAM)
    assert line == f"{flags[0]}: is of the label audit; name a model with --weights"


def test_absent_weights_are_said_before_images_are_read(data: Path) -> None:
    done = run(main, ["--data", str(data), "--weights", "absent.pt"], data.parent)
    assert done.refusal(PROGRAM).startswith("no weights 'absent.pt' ") and done.out == ""
