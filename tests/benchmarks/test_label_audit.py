"""The benchmark of label audits: its measure, its errors, and a model that knows everything."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.label_audit import Looked, auroc, measured, plant
from yolo.metrics.disagreement import KINDS
from yolo.ops import pairwise_iou

SIZE = (480, 640)


def images(count: int = 40) -> list[Looked]:
    """Labels apart from each other, and a model that finds each of them."""
    rng, made = np.random.default_rng(0), []
    for _ in range(count):
        corners = np.array([(x, y) for x in (20, 230, 440) for y in (20, 260)], np.float32) + rng.uniform(0, 20, (6, 2))
        boxes = np.concatenate((corners, corners + rng.uniform(80, 160, (6, 2))), 1).astype(np.float32)
        classes = rng.integers(0, 3, (6, 1)).astype(np.float32)
        sure = np.full((6, 1), 0.95, np.float32)
        made.append(Looked(np.concatenate((boxes, sure, classes), 1), np.concatenate((classes, boxes), 1), SIZE))
    return made


def test_auroc_by_hand() -> None:
    assert auroc([3, 4], [1, 2]) == 1 and auroc([1], [2]) == 0 and auroc([1, 1], [1]) == 0.5
    assert auroc([1, 3], [2, 2]) == 0.5 and auroc([0, 2], [0, 1]) == pytest.approx((0.5 + 0 + 1 + 1) / 4)


def test_planted_errors_are_what_they_say() -> None:
    given = images()
    spoilt, planted = plant(given, np.random.default_rng(1))
    assert len(planted) == 10 and sorted({error.kind for error in planted.values()}) == sorted(KINDS)
    for number, (before, after) in enumerate(zip(given, spoilt)):
        error = planted.get(number)
        if error is None:
            assert after is before
            continue
        more = {"missed": -1, "spurious": 1, "duplicate": 1}.get(error.kind, 0)
        assert len(after.labels) == len(before.labels) + more
        overlaps = pairwise_iou(error.box[None, 1:].copy(), before.labels[:, 1:].copy())[0]
        low, high = {"shifted": (0.1, 0.7), "spurious": (0, 0.3), "duplicate": (0.7, 1)}.get(error.kind, (1, 1))
        assert low <= overlaps.max() + 1e-6 and overlaps.max() <= high + 1e-6, error.kind
    again = plant(given, np.random.default_rng(1))[0]
    assert all(np.array_equal(one.labels, other.labels) for one, other in zip(spoilt, again))


def test_a_model_that_knows_everything_finds_every_error() -> None:
    row = measured("perfect", images(), 3, 640, 2)
    assert row["auroc"] == row["precision_at_k"] == 1 and row["images"] == 40
    for kind, figures in row["kinds"].items():
        assert figures["image_auroc"] == 1 and figures["named"] == 1, kind
        assert figures["label_auroc"] == (None if kind == "missed" else 1), kind
