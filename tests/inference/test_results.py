"""Results as people and programs meet them: short in words, rows to go through, refusals in one line."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.inference.samples import NAMES, noise
from yolo.data.images import read_image
from yolo.errors import ConfigError, DataError
from yolo.inference.results import Result
from yolo.inference.sources.base import Frame

ROWS = np.array([[1, 2, 30, 40, 0.9, 0], [5, 6, 20, 30, 0.8, 1], [0, 0, 9, 9, 0.5, 0]], np.float32)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"path": Path("in/bus.jpg")}, "Result(bus.jpg 64x48: 2 cats, 1 traffic light/red)"),
        ({"path": Path("a.mp4"), "frame": 7}, "Result(a.mp4 frame 7 64x48: 2 cats, 1 traffic light/red)"),
        ({"rows": ROWS[:0]}, "Result(64x48: (no detections))"),
    ],
)
def test_its_words_are_short(fields: dict, text: str) -> None:
    assert repr(Result(noise(), fields.pop("rows", ROWS), NAMES, **fields)) == text


def test_a_frame_does_not_print_its_pixels() -> None:
    assert len(repr(Frame(noise(), Path("a.mp4"), 1, 7))) < 200


def test_it_is_gone_through_by_rows() -> None:
    result = Result(noise(), ROWS, NAMES)
    assert len(result) == 3 and len(list(result)) == 3
    for row, (*box, confidence, number) in zip(ROWS, result):
        assert (box, confidence, number) == (row[:4].tolist(), row[4], row[5])
    assert np.array_equal(result[-1], ROWS[2]) and np.array_equal(result[:2], ROWS[:2])
    with pytest.raises(IndexError):
        _ = result[3]


def test_boxes_in_every_form() -> None:
    boxes = Result(noise(), ROWS, NAMES).boxes
    assert len(boxes) == 3 and boxes.id is None and repr(boxes) == "Boxes(3 in 64x48)"
    np.testing.assert_array_equal(boxes.xyxy, ROWS[:, :4])
    np.testing.assert_allclose(boxes.xywh[0], [15.5, 21, 29, 38])
    np.testing.assert_allclose(boxes.xyxyn[0], [1 / 64, 2 / 48, 30 / 64, 40 / 48])
    np.testing.assert_allclose(boxes.xywhn[0], [15.5 / 64, 21 / 48, 29 / 64, 38 / 48])
    assert boxes.conf.tolist() == ROWS[:, 4].tolist() and boxes.cls.tolist() == [0, 1, 0]
    assert boxes.cls.dtype == np.int64 and {boxes.xyxyn.dtype, boxes.xywh.dtype} == {np.dtype(np.float32)}


def test_some_of_the_boxes() -> None:
    boxes = Result(noise(), ROWS, NAMES, ids=np.array([7, 3, 9])).boxes
    assert [(box.cls.tolist(), box.id.tolist()) for box in boxes] == [([0], [7]), ([1], [3]), ([0], [9])]
    for chosen in (boxes[1:], boxes[boxes.conf < 0.85], boxes[np.array([1, 2])]):
        assert chosen.id.tolist() == [3, 9] and chosen.xyxy.tolist() == ROWS[1:, :4].tolist()
    assert boxes[-1].xywhn.shape == (1, 4)
    with pytest.raises(IndexError):
        boxes[3]


def test_no_boxes() -> None:
    boxes = Result(noise(), ROWS[:0], NAMES, ids=np.zeros(0, np.int64)).boxes
    assert len(boxes) == 0 and list(boxes) == [] and boxes.id.shape == boxes.cls.shape == boxes.conf.shape == (0,)
    assert {form.shape for form in (boxes.xyxy, boxes.xywh, boxes.xyxyn, boxes.xywhn)} == {(0, 4)}


def test_tracks_are_drawn_with_their_ids() -> None:
    bare = Result(noise(), ROWS, NAMES)
    tracked = [dataclasses.replace(bare, ids=np.array(ids)).plot() for ids in ([1, 2, 3], [1, 2, 3], [1, 5, 3])]
    assert (bare.plot() != tracked[0]).any() and (tracked[0] == tracked[1]).all() and (tracked[0] != tracked[2]).any()


@pytest.mark.parametrize("width", [0, -1, 1.5, "3", 10**6])
def test_a_line_width_that_cannot_be_drawn(width: object) -> None:
    with pytest.raises(ConfigError, match="line_width: is "):
        Result(noise(), ROWS, NAMES).plot(line_width=width)


@pytest.mark.parametrize("width", [1, 2.0, np.int64(3), 200])
def test_line_widths(width: float) -> None:
    drawn = Result(noise(), ROWS, NAMES).plot(line_width=width)
    assert drawn.shape == noise().shape and (drawn != noise()).any()


@pytest.mark.parametrize("path", [None, 5, b"a.png", "a\0.png", "a.xyz", ""])
def test_what_is_no_image_s_path(path: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError):
        Result(noise(), ROWS, NAMES).save(path)
    assert not list(tmp_path.iterdir())


EMPTY = {"rows": ROWS[:0]}
TRACKED = {"rows": ROWS, "ids": np.array([7, 3, 9])}


@pytest.mark.parametrize("fields", [{"rows": ROWS}, TRACKED, EMPTY, EMPTY | {"ids": np.zeros(0, np.int64)}])
def test_json_is_a_line(fields: dict) -> None:
    result = Result(noise(), names=("猫", *NAMES[1:]), path=Path("in/bus.jpg"), **fields)
    text = result.to_json()
    assert "\n" not in text and json.loads(text) == result.to_dict()
    found = json.loads(text)["detections"]
    assert [one.get("id") for one in found] == ([None] * len(result) if result.ids is None else result.ids.tolist())
    assert not found or found[0]["name"] == "猫"


@pytest.mark.parametrize("fields", [{"rows": ROWS}, TRACKED, EMPTY])
def test_a_pandas_table(fields: dict) -> None:
    pytest.importorskip("pandas")
    table = Result(noise(), names=NAMES, **fields).to_pandas()
    columns = ["xmin", "ymin", "xmax", "ymax", "confidence", "class", "name"]
    assert list(table) == columns + ["id"] * ("ids" in fields) and len(table) == len(fields["rows"])
    np.testing.assert_array_equal(table[columns[:6]].to_numpy(np.float32), fields["rows"])
    assert table["name"].tolist() == [NAMES[number] for number in table["class"]]
    assert "ids" not in fields or table["id"].tolist() == [7, 3, 9]


@pytest.mark.parametrize("fields", [{"rows": ROWS}, TRACKED, EMPTY])
def test_supervision_s_detections(fields: dict) -> None:
    pytest.importorskip("supervision")
    found = Result(noise(), names=NAMES, **fields).to_supervision()
    assert len(found) == len(fields["rows"]) and found.class_id.dtype == np.int64
    np.testing.assert_array_equal(np.column_stack([found.xyxy, found.confidence, found.class_id]), fields["rows"])
    assert found["class_name"].tolist() == [NAMES[number] for number in found.class_id]
    assert (found.tracker_id is None) == ("ids" not in fields)
    sure = found[found.confidence > 0.6]
    assert sure["class_name"].tolist() == list(NAMES)[: len(sure)]
    assert "ids" not in fields or sure.tracker_id.tolist() == [7, 3]


@pytest.mark.parametrize("library", ["pandas", "supervision"])
def test_a_library_that_is_missing(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=f"to_{library} needs {library}; pip install {library}"):
        getattr(Result(noise(), ROWS, NAMES), f"to_{library}")()


def test_an_image_without_detections_is_drawn_and_saved(tmp_path: Path) -> None:
    result = Result(noise(), ROWS[:0], NAMES, ids=np.zeros(0, np.int64))
    np.testing.assert_array_equal(result.plot(), noise())
    np.testing.assert_array_equal(read_image(result.save(tmp_path / "a.png")), noise())
