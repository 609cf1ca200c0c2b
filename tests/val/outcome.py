"""What the val command said, read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.train.samples import Done
from yolo.ops import pairwise_iou

SURE = 0.25


def result(done: Done) -> dict:
    assert done.code == 0, done.err
    assert done.out.count("\n") == 1
    return json.loads(done.out)


def table(done: Done) -> list[list[str]]:
    assert done.code == 0, done.err
    return [line.split() for line in done.out.splitlines()]


def labels_in(done: Done) -> dict[str, np.ndarray]:
    assert done.code == 0, done.err
    texts = {path.stem: path.read_text() for path in sorted((done.folder / "labels").iterdir())}
    return {name: np.array([line.split() for line in text.splitlines()], float) for name, text in texts.items()}


def assert_alike(ours: Done, theirs: Done, *, map_within: float, conf_within: float) -> None:
    """Two validations (--json --save-txt --save-conf) of one network that differ in rounding measure the same.

    Precision and recall are not compared: the confidence at which they are read jumps between equally good ones. mAP
    hardly moves, and each sure detection of one has a partner in the other: the same box, or the one for which
    suppression, at an IoU of 0.6, left it out.
    """
    for name in ("map50", "map50_95"):
        assert result(ours)["metrics"][name] == pytest.approx(result(theirs)["metrics"][name], abs=map_within), name
    one, two = labels_in(ours), labels_in(theirs)
    for mine, other in ((one, two), (two, one)):
        count = 0
        for name, rows in mine.items():
            sure = rows[rows[:, 5] > SURE]
            if not len(sure):
                continue
            iou = pairwise_iou(*(xywh_to_xyxy(boxes[:, 1:5]).astype(np.float32) for boxes in (sure, other[name])))
            alike = (iou > 0.55) & (sure[:, None, 0] == other[name][None, :, 0])
            assert (alike & (other[name][None, :, 5] > sure[:, None, 5] - conf_within)).any(1).all(), name
            count += len(sure)
        assert count >= 6


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """Centre and size to corners."""
    return np.concatenate((boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2), 1)
