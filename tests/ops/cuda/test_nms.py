"""Suppression on a device against the CPU's: bit for bit the same detections."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.cuda.detections import suppress_on_device
from tests.ops.operators import suppress
from tests.ops.samples import ODD_NUMBERS, crowded_predictions
from yolo.program.detection import NmsSettings


def assert_same(predictions: np.ndarray, **options) -> tuple[np.ndarray, np.ndarray]:
    settings = NmsSettings(**{"max_det": 300, **options})
    found, counts = suppress_on_device(predictions, settings)
    expected, expected_counts = suppress(predictions, settings)
    np.testing.assert_array_equal(counts, expected_counts)
    np.testing.assert_array_equal(found, expected)
    return found, counts


def row_of_boxes(count: int, apart: float = 30.0) -> np.ndarray:
    """[1, count, 6]: boxes of 20 pixels, sure of one class, ever less likely."""
    predictions = np.zeros((1, count, 6), np.float32)
    predictions[0, :, 0] = apart * np.arange(count)
    predictions[0, :, 2:4] = 20
    predictions[0, :, 4] = np.linspace(0.9, 0.5, count)
    predictions[0, :, 5] = 1
    return predictions


@pytest.mark.parametrize(
    ("images", "rows", "classes"), [(1, 1, 1), (2, 63, 1), (3, 131, 3), (1, 257, 80), (2, 300, 33)]
)
@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("agnostic", [False, True])
def test_equals_the_cpu(images: int, rows: int, classes: int, multi_label: bool, agnostic: bool) -> None:
    predictions = crowded_predictions(np.random.default_rng(rows), images, rows, classes)
    assert_same(
        predictions, conf=0.3, iou=0.45, multi_label=multi_label and classes < 80, agnostic=agnostic, max_det=50
    )


@pytest.mark.parametrize("iou", [0.0, 0.45, 0.7, 1.0])
@pytest.mark.parametrize("conf", [0.0, 0.001, 0.95, 1.0])
def test_thresholds(conf: float, iou: float) -> None:
    assert_same(crowded_predictions(np.random.default_rng(5), 1, 60, 4), conf=conf, iou=iou, multi_label=True)


def test_overlap_must_be_greater_than_the_threshold_in_double_precision() -> None:
    pair = np.array([[[10, 10, 20, 20, 0.9, 1], [10, 10, 20, 10, 0.8, 1]]], np.float32)
    third = np.array([[[10, 10, 30, 20, 0.9, 1], [10, 10, 10, 20, 0.8, 1]]], np.float32)
    assert assert_same(pair, conf=0.1, iou=0.5)[1][0] == 2
    assert assert_same(pair, conf=0.1, iou=0.499)[1][0] == 1
    for iou in (1 / 3, np.nextafter(1 / 3, 0), float(np.float32(1 / 3)), np.nextafter(float(np.float32(1 / 3)), 0)):
        assert_same(third, conf=0.1, iou=float(iou))


@pytest.mark.parametrize("max_det", [1, 7, 64, 65, 1000])
@pytest.mark.parametrize("max_candidates", [1, 63, 64, 200, 30_000])
def test_limits(max_det: int, max_candidates: int) -> None:
    predictions = crowded_predictions(np.random.default_rng(6), 2, 90, 3)
    options = {"conf": 0.1, "iou": 0.8, "multi_label": True}
    found, _ = assert_same(predictions, max_det=max_det, max_candidates=max_candidates, **options)
    assert found.shape == (2, min(max_det, max_candidates), 6)


def test_runs_are_merged_and_the_best_of_many_are_taken() -> None:
    predictions = crowded_predictions(np.random.default_rng(7), 2, 3500, 4)
    predictions[1, 100:, 4] = 0  # an image whose keys fit one tile, beside one that needs three merges
    options = {"conf": 0.01, "iou": 0.3, "multi_label": True}
    assert assert_same(predictions, max_candidates=2500, **options)[1].min() > 0
    assert_same(predictions, max_candidates=9000, max_det=9000, **options)


def test_what_an_earlier_round_kept_suppresses_in_later_ones() -> None:
    """3,000 boxes apart and their copies, less likely: the copies are in the second and third rounds."""
    predictions = np.concatenate([row_of_boxes(3000)] * 3, axis=1)
    predictions[0, 3000:, 4] /= 2
    predictions[0, 6000:, 4] /= 2
    predictions[0, 8900:, 1] = 500  # at last some that nothing meets
    _, counts = assert_same(predictions, conf=0.01, iou=0.5, max_det=9000)
    assert counts[0] == 3100
    assert assert_same(predictions, conf=0.01, iou=0.5, max_det=3050)[1][0] == 3050


@pytest.mark.parametrize("classes", [(0,), (2, 1), (99,)])
def test_wanted_classes(classes: tuple[int, ...]) -> None:
    predictions = crowded_predictions(np.random.default_rng(9), 1, 80, 3)
    for multi_label in (False, True):
        assert_same(predictions, conf=0.1, iou=0.5, classes=classes, multi_label=multi_label)


def test_ties_go_by_row_then_class() -> None:
    predictions = row_of_boxes(200)
    predictions = np.concatenate([predictions, predictions[..., 5:], predictions[..., 5:]], axis=2)
    predictions[..., 4] = 0.5
    found, counts = assert_same(predictions, conf=0.1, iou=0.5, multi_label=True, max_det=500)
    assert counts[0] == 500 and found[0, :4, 5].tolist() == [0, 1, 2, 0]


def test_identical_boxes_leave_one_and_apart_ones_all() -> None:
    assert assert_same(row_of_boxes(500, apart=0.0), conf=0.1, iou=0.5)[1][0] == 1
    assert assert_same(row_of_boxes(500), conf=0.1, iou=0.5, max_det=1000)[1][0] == 500


@pytest.mark.parametrize("span", [640, 20_000])
def test_classes_meet_only_where_the_offset_lets_them(span: int) -> None:
    predictions = crowded_predictions(np.random.default_rng(8), 1, 120, 3, span)
    if span > 7680:
        predictions[0, :60, 0] += 7680  # where the next class's boxes of the other half are moved to
    assert_same(predictions, conf=0.1, iou=0.2, multi_label=True)


def test_nothing_to_find() -> None:
    predictions = crowded_predictions(np.random.default_rng(4), 2, 40, 2)
    assert assert_same(predictions, conf=1.0)[1].tolist() == [0, 0]
    assert assert_same(predictions[:, :0], conf=0.1, max_det=4)[0].shape == (2, 4, 6)
    predictions[0, :, 4] = np.nan
    assert assert_same(predictions, conf=0.1)[1][0] == 0


@pytest.mark.parametrize("seed", range(6))
def test_numbers_that_no_sane_model_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    predictions = crowded_predictions(rng, 2, 150, 3)
    odd = rng.choice(np.array(ODD_NUMBERS, np.float32), predictions.shape)
    predictions = np.where(rng.random(predictions.shape) < 0.15, odd, predictions).astype(np.float32)
    for options in ({"conf": 0.0}, {"conf": 0.001, "multi_label": True}, {"conf": 0.1, "agnostic": True}):
        assert np.isfinite(assert_same(predictions, iou=0.3, **options)[0]).all()


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 2, 5), {}, "no classes"),
        ((0, 2, 6), {}, "without images"),
        ((1, 2, 6), {"conf": 1.5}, "conf and iou are numbers from 0 to 1"),
        ((1, 2, 6), {"iou": float("nan")}, "iou"),
        ((1, 2, 6), {"max_det": 0}, "no detections are to be kept"),
    ],
)
def test_settings_that_mean_nothing_are_refused(shape, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        suppress_on_device(np.zeros(shape, np.float32), NmsSettings(**{"conf": 0.1, "iou": 0.5, **options}))
