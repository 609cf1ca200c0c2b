from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given

from tests.metrics import reference
from tests.metrics.strategies import CLASSES, few, images
from yolo.metrics import MetricAccumulator
from yolo.metrics.average_precision import smooth

BOX = (10, 10, 20, 20)
EMPTY = np.zeros((0, 6), np.float32), np.zeros((0, 5), np.float32)


def compute(images, classes=CLASSES):
    accumulator = MetricAccumulator(classes)
    for detections, labels in images:
        accumulator.update(detections, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return accumulator.compute()


@few
@given(images)
def test_ap_is_that_of_the_plain_loops(images):
    metrics = compute(images)
    expected = reference.ap_by_class(images)
    assert metrics.classes.tolist() == list(expected)
    assert np.allclose(metrics.ap_by_iou, np.array(list(expected.values())).reshape(-1, 10), atol=1e-12)
    assert metrics.labels == sum(len(labels) for _, labels in images)
    assert metrics.images == len(images)


@few
@given(images)
def test_curves_stay_in_bounds_and_fall(images):
    metrics = compute(images)
    for curve in (metrics.p_curve, metrics.r_curve, metrics.f1_curve, metrics.pr_curve):
        assert curve.shape == (len(metrics.classes), 1000)
        assert np.isfinite(curve).all() and (curve >= 0).all() and (curve <= 1 + 1e-12).all()
    assert (np.diff(metrics.r_curve) <= 1e-12).all() and (np.diff(metrics.pr_curve) <= 1e-12).all()
    assert 0 <= metrics.map50_95 <= metrics.map50 + 1e-12
    assert metrics.fitness == pytest.approx(0.1 * metrics.map50 + 0.9 * metrics.map50_95)


@few
@given(images, images)
def test_merged_parts_equal_the_whole(first, second):
    whole = compute(first + second)
    parts = []
    for part in (first, second):
        accumulator = MetricAccumulator(CLASSES)
        for detections, labels in part:
            accumulator.update(detections, labels)
        parts.append(MetricAccumulator.from_state(accumulator.state()))
    merged = MetricAccumulator.merge(parts).compute()
    for name, value in vars(whole).items():
        assert np.array_equal(value, getattr(merged, name)), name


@pytest.mark.parametrize(
    "images",
    [
        [],
        [EMPTY],
        [(EMPTY[0], [(0, *BOX)])],
        [([(*BOX, 0.9, 0)], EMPTY[1])],
    ],
    ids=["no image", "empty image", "no detections", "no labels"],
)
def test_empty_gives_zeros_without_a_warning(images):
    metrics = compute(images)
    scalars = (
        metrics.precision,
        metrics.recall,
        metrics.f1,
        metrics.map50,
        metrics.map50_95,
        metrics.fitness,
    )
    assert scalars == (0.0,) * 6
    assert not metrics.ap_of_every_class().any()


def test_a_perfect_detector():
    metrics = compute([([(*BOX, 0.8, 2)], [(2, *BOX)])] * 3)
    # The last of the 101 points lies on the fall from recall 1 to precision 0: half a step is lost.
    assert (metrics.map50, metrics.map50_95) == pytest.approx((0.995, 0.995))
    assert (metrics.precision, metrics.recall, metrics.f1) == (1.0, 1.0, pytest.approx(1.0))
    assert metrics.counts.tolist() == [3]
    assert metrics.ap_of_every_class() == pytest.approx([0.995] * 3)


def test_p_and_r_at_the_best_confidence():
    """Two right ones at 0.8, a wrong one at 0.2: the best F1 lies between, and leaves the wrong one out."""
    wrong = (40, 40, 60, 60, 0.2, 0)
    metrics = compute([([(*BOX, 0.8, 0), wrong], [(0, *BOX)]), ([(*BOX, 0.8, 0)], [(0, *BOX)])])
    assert 0.2 < metrics.confidence <= 0.8
    assert metrics.recall == pytest.approx(1.0)
    assert metrics.precision > 0.9


@pytest.mark.parametrize("detections, labels", [([(*BOX, 0.9, 3)], []), ([], [(-1, *BOX)])])
def test_unknown_classes_are_refused(detections, labels):
    with pytest.raises(ValueError, match="class"):
        MetricAccumulator(CLASSES).update(detections, labels)


def test_a_confidence_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="confidence"):
        MetricAccumulator(CLASSES).update([(*BOX, float("nan"), 0)], [])


def test_only_accumulators_of_the_same_classes_merge():
    with pytest.raises(ValueError, match="classes"):
        MetricAccumulator.merge([MetricAccumulator(1), MetricAccumulator(2)])


def test_smoothing_is_a_centred_mean():
    curve = np.random.default_rng(0).random(1000)
    padded = np.concatenate((np.full(50, curve[0]), curve, np.full(50, curve[-1])))
    expected = [padded[i : i + 101].mean() for i in range(1000)]
    assert np.allclose(smooth(curve), expected)
