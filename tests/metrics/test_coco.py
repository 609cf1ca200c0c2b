from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.metrics import coco128
from tests.parity import PARITY, needs_parity
from yolo.errors import DataError
from yolo.metrics.coco import category_id, coco_rows, evaluate_coco, image_id, labels_to_coco

BOX = (10, 10, 50, 30)


def index(names=("cell", "platelet"), stems=("a", "b")):
    return SimpleNamespace(
        paths=[Path(f"images/{stem}.jpg") for stem in stems],
        labels=[np.array([[1, 0.3, 0.2, 0.4, 0.2]], np.float32), np.zeros((0, 5), np.float32)],
        shapes=np.array([[100, 100], [50, 80]]),
        names=names,
    )


@pytest.mark.parametrize(
    "file, expected", [("x/000000000139.jpg", 139), ("frame_1.png", "frame_1"), ("²", "²"), ("a/0.png", 0)]
)
def test_image_ids(file, expected):
    assert image_id(file) == expected


def test_cocos_category_numbers():
    assert [category_id(c, coco_ids=True) for c in (0, 10, 11, 12, 79)] == [1, 11, 13, 14, 90]
    assert category_id(79) == 79


def test_rows_are_rounded_and_measured_from_the_top_left():
    rows = coco_rows([(1.23456, 2, 11.23456, 22.5, 0.1234567, 12)], "000012.jpg", coco_ids=True)
    assert rows == [{"image_id": 12, "category_id": 14, "bbox": [1.235, 2.0, 10.0, 20.5], "score": 0.12346}]
    assert json.loads(json.dumps(rows)) == rows
    assert coco_rows([], "a.jpg") == []


def test_labels_in_cocos_form():
    truth = labels_to_coco(index())
    assert [image["id"] for image in truth["images"]] == ["a", "b"]
    assert truth["images"][1] == {"id": "b", "file_name": "b.jpg", "height": 50, "width": 80}
    (annotation,) = truth["annotations"]
    assert annotation["bbox"] == pytest.approx([10, 10, 40, 20])
    assert annotation["area"] == pytest.approx(800) and annotation["id"] == 1
    assert truth["categories"] == [{"id": 0, "name": "cell"}, {"id": 1, "name": "platelet"}]


def test_two_images_of_one_id_are_refused():
    with pytest.raises(DataError, match="COCO id 1"):
        labels_to_coco(index(stems=("1", "01")))


def test_a_perfect_detector_and_a_blind_one(tmp_path):
    truth, rows = labels_to_coco(index()), coco_rows([(*BOX, 0.9, 1)], "a.jpg")
    metrics = evaluate_coco(truth, rows)
    assert (metrics.map50_95, metrics.map_small, metrics.recall_1) == pytest.approx((1, 1, 1))
    assert metrics.map_large == -1
    assert metrics.ap_by_class == pytest.approx({"platelet": 1.0})
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert evaluate_coco(tmp_path / "truth.json", tmp_path / "rows.json") == metrics
    assert evaluate_coco(truth, []).map50_95 == 0
    assert evaluate_coco(truth, rows, ["b"]).map50_95 == -1


@pytest.mark.parametrize("text", ["{", "[]", '{"images": []}', '{"images": [1]}', "[" * 100_000])
def test_a_file_of_another_form_is_refused(tmp_path, text):
    (tmp_path / "truth.json").write_text(text)
    with pytest.raises(DataError, match="JSON"):
        evaluate_coco(tmp_path / "truth.json", [])


def test_a_missing_file_and_an_unknown_image_are_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        evaluate_coco(tmp_path / "none.json", [])
    with pytest.raises(DataError, match="such as c"):
        evaluate_coco(labels_to_coco(index()), [], ["a", "c"])


def odd(part: str, **instead):
    """A perfect detection in COCO's form, with fields of its truth's or its row's replaced; part: where."""
    truth, rows = labels_to_coco(index()), coco_rows([(*BOX, 0.9, 1)], "a.jpg")
    (rows[0] if part == "row" else truth[part][0]).update(instead)
    return truth, rows


@pytest.mark.parametrize(
    "part, instead, said",
    [
        ("row", dict(image_id="elsewhere"), r"detections: \[0\]: its image_id is 'elsewhere', and no such image"),
        ("row", dict(image_id=1), "its image_id is 1, and no such image"),
        ("row", dict(category_id=7), "its category_id is 7, and no such category"),
        ("row", dict(score=float("nan")), "its score is nan"),
        ("row", dict(score="0.9"), "its score is '0.9'"),
        ("row", dict(bbox=[1, 2, float("inf"), 3]), "its bbox is"),
        ("row", dict(bbox=[1, 2, 3]), "its bbox is"),
        ("row", dict(bbox=[10, 10, -5, 5]), "its bbox is"),
        ("row", dict(bbox=None), "not COCO's JSON form"),
        ("categories", dict(name="platelet"), "category name 'platelet' occurs twice"),
        ("categories", dict(id=1), "category id 1 occurs twice"),
        ("images", dict(id="b"), "image id 'b' occurs twice"),
        ("annotations", dict(image_id="c"), r"annotations\[0\]: its image_id is 'c'"),
        ("annotations", dict(category_id=2), r"annotations\[0\]: its category_id is 2"),
        ("annotations", dict(bbox=[1, 2, "3", 4]), r"annotations\[0\]: its bbox is"),
        ("annotations", dict(area=float("nan")), r"annotations\[0\]: its area is nan"),
        ("annotations", dict(area=10**400), r"annotations\[0\]: its area is 1000.*…, not a finite number"),
        ("annotations", dict(bbox=[1, 2, 3, 10**400]), r"annotations\[0\]: its bbox is \[1, 2, 3, 1000"),
        ("annotations", dict(bbox=[1, 2, 3, True]), r"annotations\[0\]: its bbox is"),
    ],
)
def test_what_would_be_measured_wrongly_is_refused(part, instead, said):
    with pytest.raises(DataError, match=said):
        evaluate_coco(*odd(part, **instead))


def test_detections_of_another_form_are_refused_by_their_own_name(tmp_path):
    truth, (row,) = odd("row")
    file = tmp_path / "rows.json"
    for content in ([{name: value for name, value in row.items() if name != "score"}], {"images": []}, [1], 3):
        file.write_text(json.dumps(content))
        with pytest.raises(DataError, match=r"rows\.json: not COCO's JSON form"):
            evaluate_coco(truth, file)


@pytest.mark.parametrize("ids", [(0, 1), (2**53, 2**53 + 1), ("x", "y")], ids=["zero", "large", "text"])
def test_any_ids_are_told_apart(ids):
    """Other evaluations take 2^53 and 2^53 + 1 for one, want numbers, or leave an annotation of id 0 out."""
    truth, rows = odd("row")
    for place, part in enumerate(truth["categories"]):
        part["id"] = ids[place]
    for row in (rows[0], truth["annotations"][0]):
        row["category_id"] = ids[1]
    for place, image in enumerate(truth["images"]):
        image["id"] = ids[place]
    rows[0]["image_id"] = truth["annotations"][0]["image_id"] = ids[0]
    truth["annotations"][0]["id"] = 0
    del truth["annotations"][0]["area"]
    metrics = evaluate_coco(truth, rows)
    assert metrics.map50_95 == pytest.approx(1) and metrics.ap_by_class == pytest.approx({"platelet": 1.0})
    assert evaluate_coco(truth, [{**rows[0], "category_id": ids[0]}]).map50_95 == 0
    assert evaluate_coco(truth, [{**rows[0], "image_id": ids[1]}]).map50_95 == 0


def test_detections_outside_the_images_looked_at_do_not_count():
    truth, rows = odd("row")
    assert evaluate_coco(truth, [*rows, {**rows[0], "image_id": "b", "score": 1.0}], ["a"]).map50_95 == pytest.approx(1)


@needs_parity
@pytest.mark.parity
def test_figures_are_those_of_cocos_own_evaluation():
    """On COCO128 with the published annotations, masks and crowds and all."""
    from faster_coco_eval import COCO, COCOeval_faster

    file = PARITY / "data/coco128_json/instances_train2017.json"
    images = list(coco128.images("yolov5s"))
    rows = [row for p in images for row in coco_rows(p.detections, p.path, coco_ids=True)]
    metrics = evaluate_coco(file, rows, [image_id(p.path) for p in images])
    truth = COCO(str(file))
    oracle = COCOeval_faster(truth, truth.loadRes(rows), iouType="bbox")
    oracle.run()
    assert list(vars(metrics).values())[:12] == pytest.approx(list(oracle.all_stats[:12]), abs=1e-12)
    # COCO leaves crowds out and has its own interpolation: near the 0.646 and 0.434 of the YOLO rule.
    assert (metrics.map50, metrics.map50_95) == pytest.approx((0.650, 0.437), abs=0.001)
    measured = list(metrics.ap_by_class.values())
    assert np.mean(measured) == pytest.approx(metrics.map50_95)
