"""Compiled suppression against the plain reference: bit for bit the same detections."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.operators import options_of, suppress
from tests.ops.samples import any_floats, crowded_predictions
from tests.reference import nms as reference
from yolo.program.detection import NmsSettings, suppression


def nms(predictions, **options):
    return suppress(predictions, NmsSettings(**{"max_det": 300, **options}))


def assert_same(predictions, **options):
    detections, counts = nms(predictions, **options)
    expected, expected_counts = reference.nms(predictions, **options_of(NmsSettings(**{"max_det": 300, **options})))
    np.testing.assert_array_equal(counts, expected_counts)
    np.testing.assert_array_equal(detections, expected)
    return detections, counts


def one_image(*rows) -> np.ndarray:
    return np.array([rows], np.float32)


@pytest.mark.parametrize("images, rows, nc", [(1, 1, 1), (2, 63, 1), (3, 131, 3), (1, 257, 80)])
@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("agnostic", [False, True])
def test_equals_the_reference(images, rows, nc, multi_label, agnostic):
    predictions = crowded_predictions(np.random.default_rng(rows), images, rows, nc)
    assert_same(predictions, conf=0.3, iou=0.45, multi_label=multi_label and nc < 80, agnostic=agnostic, max_det=50)


@pytest.mark.parametrize("iou", [0.0, 0.1, 0.45, 0.6, 0.7, 1.0])
@pytest.mark.parametrize("conf", [0.0, 0.001, 0.25, 0.95, 1.0])
def test_thresholds(conf, iou):
    assert_same(crowded_predictions(np.random.default_rng(5), 1, 60, 4), conf=conf, iou=iou, multi_label=True)


@pytest.mark.parametrize("max_det", [1, 7, 1000])
@pytest.mark.parametrize("max_candidates", [1, 20, 30_000])
def test_limits(max_det, max_candidates):
    predictions = crowded_predictions(np.random.default_rng(6), 2, 90, 3)
    detections, _ = assert_same(
        predictions, conf=0.1, iou=0.5, max_det=max_det, max_candidates=max_candidates, multi_label=True
    )
    assert detections.shape == (2, min(max_det, max_candidates), 6)


def test_more_candidates_than_the_first_sorted_chunk():
    predictions = crowded_predictions(np.random.default_rng(7), 1, 1500, 2)
    _, counts = assert_same(predictions, conf=0.01, iou=0.3, multi_label=True, max_candidates=2500)
    assert counts[0] > 0


@pytest.mark.parametrize("span", [640, 20_000])
def test_classes_meet_only_where_the_offset_lets_them(span):
    predictions = crowded_predictions(np.random.default_rng(8), 1, 120, 3, span)
    if span > 7680:
        predictions[0, :60, 0] += 7680  # where the next class's boxes of the other half are moved to
    assert_same(predictions, conf=0.1, iou=0.2, multi_label=True)


@pytest.mark.parametrize("classes", [(0,), (2, 1), (99,), (-1,), (1, 1)])
def test_class_filter(classes):
    predictions = crowded_predictions(np.random.default_rng(9), 1, 80, 3)
    detections, counts = assert_same(predictions, conf=0.1, iou=0.5, classes=classes)
    assert set(detections[0, : counts[0], 5].astype(int)) <= set(classes)


def test_class_filter_comes_after_the_best_class():
    predictions = one_image([50, 50, 20, 20, 1, 0.9, 0.8])
    assert nms(predictions, conf=0.1, iou=0.5, classes=(1,))[1][0] == 0
    assert nms(predictions, conf=0.1, iou=0.5, classes=(1,), multi_label=True)[1][0] == 1


def test_equal_scores_go_by_row_then_class():
    rows = [[100 * i, 50, 20, 20, 0.5, 0.5, 0.5] for i in range(4)]
    detections, counts = nms(one_image(*rows), conf=0.1, iou=0.5, multi_label=True)
    assert counts[0] == 8
    assert [tuple(row) for row in detections[0, :8, [0, 5]].T] == [
        (100 * i - 10, c) for i in range(4) for c in range(2)
    ]


def test_overlap_must_be_greater_than_the_threshold():
    halves = one_image([10, 10, 20, 20, 0.9, 1], [10, 10, 20, 10, 0.8, 1])
    assert nms(halves, conf=0.1, iou=0.5)[1][0] == 2
    assert nms(halves, conf=0.1, iou=0.499)[1][0] == 1


def test_no_predictions():
    detections, counts = nms(np.zeros((2, 0, 6), np.float32), conf=0.1, iou=0.5, max_det=4)
    assert detections.shape == (2, 4, 6) and not detections.any()
    assert counts.dtype == np.int32 and counts.tolist() == [0, 0]


@pytest.mark.parametrize(
    "shape, options, message",
    [
        ((1, 2, 5), {}, "no classes"),
        ((0, 2, 6), {}, "without images"),
        ((1, 2**31, 8), {}, "more predictions than suppression can number"),
        ((1, 2, 6), {"conf": 1.5}, "conf and iou are numbers from 0 to 1"),
        ((1, 2, 6), {"conf": float("nan")}, "conf"),
        ((1, 2, 6), {"iou": -0.1}, "iou"),
        ((1, 2, 6), {"iou": float("nan")}, "iou"),
        ((1, 2, 6), {"max_det": 0}, "no detections are to be kept"),
        ((1, 2, 6), {"max_det": -1}, "no detections"),
        ((1, 2, 6), {"max_candidates": 0}, "no detections"),
    ],
)
def test_settings_that_mean_nothing_are_refused(shape, options, message):
    with pytest.raises(ValueError, match=message):
        suppression(shape, NmsSettings(**{"conf": 0.1, "iou": 0.5, **options}))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_anything_at_all(data):
    rows, nc = data.draw(st.integers(0, 12)), data.draw(st.integers(1, 3))
    predictions = data.draw(any_floats((1, rows, 5 + nc)))
    options = {name: data.draw(st.booleans()) for name in ("agnostic", "multi_label")}
    detections, counts = assert_same(
        predictions, conf=data.draw(st.sampled_from([0, 0.001, 0.5])), iou=0.5, max_det=20, **options
    )
    assert np.isfinite(detections).all()
    assert not detections[0, counts[0] :].any()


def test_inverted_boxes_stand_alone():
    box, inverted = [50, 50, 20, 20, 0.9, 1], [50, 50, -20, 20, 0.8, 1]
    detections, counts = assert_same(one_image(box, inverted, inverted), conf=0.1, iou=0.0)
    assert counts[0] == 3
    np.testing.assert_array_equal(detections[0, 1, :4], [60, 40, 40, 60])


def test_validation_sized_input():
    predictions = crowded_predictions(np.random.default_rng(1), 1, 25_200, 80)
    predictions[..., 4:] **= 12
    start = time.perf_counter()
    detections, counts = nms(predictions, conf=0.001, iou=0.6, multi_label=True)
    print(f"nms of 25,200 x 85 at conf 0.001: {1e3 * (time.perf_counter() - start):.1f} ms, {counts[0]} kept")
    assert (np.diff(detections[0, : counts[0], 4]) <= 0).all()
    assert counts[0] == 300
