"""A validation as a table and as JSON."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np

from yolo.command import speed_line
from yolo.engine.report import HEADER, metrics_table, validation_json
from yolo.engine.validator import Validation

NAMES = ("cat", "dog", "a name as long as no other name is")


def validation(**instead) -> Validation:
    values = {
        **dict(precision=0.5, recall=0.25, map50=0.75, map50_95=0.125, classes=np.array([0, 2]), labels=7),
        **dict(counts=np.array([4, 3]), p=np.array([0.4, 0.6]), r=np.array([0.2, 0.3])),
        **dict(ap50=np.array([0.9, 0.6]), ap=np.array([0.1, 0.15])),
        **dict(undetected=np.zeros(2, bool), confidence=0.3125),
        **instead,
    }
    speed = {"preprocess": 1.04, "inference": 22.25, "nms": 0.5}
    return Validation(SimpleNamespace(**values), None, None, speed, 5)


def test_the_table():
    lines = metrics_table(validation(), NAMES, every_class=True).splitlines()
    assert lines[0] == HEADER
    assert [line.split() for line in lines[1:3]] == [
        ["all", "5", "7", "0.500", "0.250", "0.750", "0.125"],
        ["cat", "5", "4", "0.400", "0.200", "0.900", "0.100"],
    ]
    assert lines[3].startswith(f"{NAMES[2]} ") and lines[3].split()[-6:] == [
        "5",
        "3",
        "0.600",
        "0.300",
        "0.600",
        "0.150",
    ]
    assert len(lines) == 4  # the class without labels has no line
    assert metrics_table(validation(), NAMES, every_class=False).splitlines() == lines[:2]


def test_a_precision_of_nothing_is_marked_and_explained():
    lines = metrics_table(validation(undetected=np.array([False, True])), NAMES, every_class=True).splitlines()
    assert [line.split()[-4] for line in lines[1:4]] == ["0.500*", "0.400", "0.600*"]
    assert lines[4:] == ["* P counts 1 for 1 of 2 classes without a detection above confidence 0.312, as in YOLOv5"]
    plain = metrics_table(validation(), NAMES, every_class=True).splitlines()
    assert [line.replace("*", " ") for line in lines[:4]] == plain
    found = validation_json(validation(undetected=np.array([False, True])), NAMES)
    assert found["undetected"] == [2] and found["metrics"]["precision"] == 0.5


def test_columns_stand_under_their_names():
    """Every column ends where its name ends, up to one place."""
    head, row = metrics_table(validation(), NAMES, every_class=False).splitlines()
    ends = [
        [k for k in range(1, len(line) + 1) if line[k - 1] != " " and line[k : k + 1] in ("", " ")]
        for line in (head, row)
    ]
    assert len(ends[0]) == len(ends[1]) == 7
    assert max(abs(a - b) for a, b in zip(*ends)) <= 1


def test_no_class_at_all():
    nothing = np.zeros(0)
    classes = dict(classes=nothing.astype(int), undetected=nothing.astype(bool), counts=nothing)
    empty = validation(**classes, p=nothing, r=nothing, ap50=nothing, ap=nothing)
    assert len(metrics_table(empty, NAMES, every_class=True).splitlines()) == 2
    assert validation_json(empty, NAMES)["per_class"] == []


def test_speed():
    said = speed_line(validation().speed_ms)
    assert said == "speed per image: 1.0 ms pre-process, 22.2 ms inference, 0.5 ms NMS"


def test_json():
    found = json.loads(json.dumps(validation_json(validation(), NAMES), allow_nan=False))
    assert found == {
        "metrics": {"precision": 0.5, "recall": 0.25, "map50": 0.75, "map50_95": 0.125},
        "per_class": [
            dict(name="cat", labels=4, precision=0.4, recall=0.2, map50=0.9, map50_95=0.1, **{"class": 0}),
            dict(name=NAMES[2], labels=3, precision=0.6, recall=0.3, map50=0.6, map50_95=0.15, **{"class": 2}),
        ],
        "undetected": [],
        "speed_ms": {"preprocess": 1.04, "inference": 22.25, "nms": 0.5},
    }


def test_what_is_no_number_is_null_in_json():
    found = validation_json(validation(map50=float("nan"), ap=np.array([np.inf, 0.15])), NAMES)
    assert found["metrics"]["map50"] is None and found["metrics"]["map50_95"] == 0.125
    assert [row["map50_95"] for row in found["per_class"]] == [None, 0.15]
    json.dumps(found, allow_nan=False)
