"""Each kind of finding, its score by hand, and what is no finding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests.metrics.strategies import CLASSES, detections, few, images, labels
from yolo.metrics.disagreement import DOUBLE, KINDS, LEAST, Disagreement, Reliability, disagreements, image_score, pair

BOX, FAR = (10, 10, 110, 110), (300, 300, 400, 400)
HALF = (10, 10, 110, 60)
"""The upper half of BOX: IoU 0.5."""
SURE = Reliability(np.full((CLASSES, 3), 0.9), np.full(CLASSES, 0.9), np.zeros(CLASSES))
"""A model that finds nine of ten, places boxes with IoU 0.9, and confuses nothing."""


def found(detections=(), labels=(), reliability: Reliability = SURE, conf: float = 0.25) -> list[Disagreement]:
    return disagreements(pair(detections, labels), reliability, conf)


def only(*args, **kwargs) -> Disagreement:
    (one,) = found(*args, **kwargs)
    return one


def test_what_agrees_is_no_finding() -> None:
    assert found([(*BOX, 0.9, 0), (*FAR, 0.8, 1)], [(0, *BOX), (1, *FAR)]) == [] == found()
    assert image_score([]) == 0.0


def test_missed() -> None:
    one = only([(*BOX, 0.8, 1)])
    assert (one.kind, one.score, one.detection, one.label) == ("missed", pytest.approx(0.8), 0, None)
    assert found([(*BOX, 0.2, 1)]) == []
    near = only([(*BOX, 0.8, 1), (60, 10, 160, 110, 0.6, 1)], [(1, *BOX)])  # IoU 1/3 with the label
    assert (near.detection, near.score) == (1, pytest.approx(0.6 * (1 - 2 / 3), rel=1e-4))


def test_one_object_is_missed_once() -> None:
    assert only([(*BOX, 0.5, 0), (*BOX, 0.7, 1)]).detection == 1
    assert found([(*BOX, 0.9, 0), (*BOX, 0.7, 1)], [(0, *BOX)]) == []  # a second opinion on what is labelled


def test_spurious_counts_by_what_the_model_finds_elsewhere() -> None:
    one = only([], [(1, *BOX)])
    assert (one.kind, one.label, one.detection, one.score) == ("spurious", 0, None, pytest.approx(0.9))
    weak = Reliability(np.full((CLASSES, 3), 0.3), SURE.iou, SURE.confused)
    assert only([], [(1, *BOX)], weak).score == pytest.approx(0.3)
    assert only([(*BOX, 0.1, 0)], [(1, *BOX)]).score == pytest.approx(0.9)  # another class supports nothing
    loose = only([(10, 10, 110, 50, 0.2, 1)], [(1, *BOX)])  # IoU 0.4, below the confidence that contradicts
    assert (loose.kind, loose.score) == ("spurious", pytest.approx(0.9 * (1 - 0.2 * 0.8), rel=1e-4))
    assert found([(*BOX, 0.1, 1)], [(1, *BOX)]) == []  # unsure, but found


def test_shifted() -> None:
    one = only([(*HALF, 0.8, 0)], [(0, *BOX)])
    assert (one.kind, one.label, one.detection, one.iou) == ("shifted", 0, 0, pytest.approx(0.5, rel=1e-3))
    assert one.score == pytest.approx(0.8 * (1 - 0.5 / 0.9), rel=1e-3)
    low = (10, 10, 110, 40)  # IoU 0.3: nobody's partner, so the label is unsupported too
    one = only([(*low, 0.8, 0)], [(0, *BOX)])
    unsupported, against = 0.9 * (1 - 0.8 * 0.6), 0.8 * (1 - 0.3 / 0.9)
    assert (one.kind, one.score) == ("shifted", pytest.approx(1 - (1 - unsupported) * (1 - against), rel=1e-3))
    surer = only([(*HALF, 0.1, 0), (60, 10, 160, 110, 0.9, 0)], [(0, *BOX)])
    assert (surer.kind, surer.detection) == ("shifted", 1)


def test_what_is_loose_everywhere_is_not_shifted() -> None:
    loose = Reliability(SURE.found, np.full(CLASSES, 0.5), SURE.confused)
    assert found([(*HALF, 0.8, 0)], [(0, *BOX)], loose) == []


def test_wrong_class() -> None:
    one = only([(*BOX, 0.8, 1)], [(0, *BOX)])
    assert (one.kind, one.label, one.detection) == ("wrong-class", 0, 0)
    assert one.score == pytest.approx(1 - (1 - 0.9) * (1 - 0.8))
    held = only([(*BOX, 0.8, 1), (*BOX, 0.3, 0)], [(0, *BOX)])
    assert (held.kind, held.score) == ("wrong-class", pytest.approx(0.8 - 0.3))
    assert found([(*BOX, 0.3, 1), (*BOX, 0.8, 0)], [(0, *BOX)]) == []
    confusing = Reliability(SURE.found, SURE.iou, np.full(CLASSES, 0.5))
    assert only([(*BOX, 0.8, 1), (*BOX, 0.3, 0)], [(0, *BOX)], confusing).score == pytest.approx(0.25)


def test_a_detection_that_belongs_to_another_label_accuses_nobody() -> None:
    one = only([(*BOX, 0.8, 1)], [(0, *BOX), (1, *BOX)])
    assert (one.kind, one.label) == ("spurious", 0)


def test_duplicate() -> None:
    near = (10, 10, 110, 100)  # IoU 0.9
    one = only([(*BOX, 0.8, 0)], [(0, *near), (0, *BOX)])
    assert (one.kind, one.label, one.other) == ("duplicate", 0, 1)
    assert one.score == pytest.approx(1 - (1 - 0.9) * (1 - 0.9), rel=1e-3)
    both = found([], [(0, *BOX), (0, *near)])
    assert [(finding.kind, finding.label) for finding in both] == [("duplicate", 1), ("spurious", 0)]
    assert "duplicate" not in {finding.kind for finding in found([], [(0, *BOX), (1, *near)])}
    assert DOUBLE > 0.5 and "duplicate" not in {finding.kind for finding in found([], [(0, *BOX), (0, *HALF)])}


def test_reliability_is_by_class_and_size() -> None:
    rows = [(0, *BOX)]
    many = [pair([(*BOX, 0.8, 0)], rows) for _ in range(45)] + [pair([], [(1, *BOX)]) for _ in range(45)]
    reliability = Reliability.of(many, CLASSES)
    assert reliability.found[0, 2] == pytest.approx((45 * 0.8 + 5 * 0.4) / 50)  # five labels' worth of the average
    assert reliability.found[1, 2] == pytest.approx((0 + 5 * 0.4) / 50)
    assert reliability.found[0, 0] == 0  # nothing small was found, since nothing is small
    assert reliability.iou[0] == pytest.approx(1) and reliability.confused.tolist() == [0, 0, 0]
    small = Reliability.of([pair([(*BOX, 0.8, 0)], rows, scale=0.1)], CLASSES)
    assert small.found[0, 0] == pytest.approx(0.8) and small.found[0, 2] == 0
    swapped = Reliability.of([pair([(*BOX, 0.8, 1)], rows)] * 5, CLASSES)
    assert swapped.confused[0] == pytest.approx(1) and swapped.confused[1] == pytest.approx(1)  # no label of its own
    assert Reliability.of([], CLASSES).found.shape == (CLASSES, 3)


@few
@given(images)
def test_scores_are_shares_and_the_worst_comes_first(images) -> None:
    pairings = [pair(*image) for image in images]
    reliability = Reliability.of(pairings, CLASSES)
    for pairing in pairings:
        some = disagreements(pairing, reliability, 0.25)
        scores = [one.score for one in some]
        assert scores == sorted(scores, reverse=True) and all(LEAST <= score <= 1 + 1e-6 for score in scores)
        assert {one.kind for one in some} <= set(KINDS)
        about = [one.label for one in some if one.label is not None]
        assert len(about) == len(set(about)) and image_score(some) == max(scores, default=0)


@few
@given(detections, labels)
def test_partners_are_of_one_class_and_one_to_one(detections, labels) -> None:
    pairing = pair(detections, labels)
    matched = np.flatnonzero(pairing.partner >= 0)
    taken = pairing.partner[matched]
    assert len(set(taken)) == len(taken)
    for label, detection in zip(matched, taken):
        assert labels[label, 0] == detections[detection, 5] and pairing.iou[label, detection] >= 0.5
