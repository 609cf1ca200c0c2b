from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests.metrics import reference
from tests.metrics.strategies import detections, few, labels
from yolo.metrics.matching import iou_thresholds, match_detections

BOX = (10, 10, 20, 20)


@few
@given(detections, labels)
def test_matches_are_those_of_the_plain_loops(detections, labels):
    assert (match_detections(detections, labels) == reference.match(detections, labels)).all()


@few
@given(detections, labels)
def test_matches_follow_their_detections_when_rows_move(detections, labels):
    _, unique = np.unique(detections[:, 4], return_index=True)
    rows = detections[unique]
    assert (match_detections(rows[::-1], labels)[::-1] == match_detections(rows, labels)).all()


def test_thresholds_are_cocos():
    assert np.allclose(iou_thresholds(), [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])


@pytest.mark.parametrize("rows, count", [([], 1), ([(*BOX, 0.9, 0)], 0), ([], 0)])
def test_nothing_matches_nothing(rows, count):
    correct = match_detections(rows, [(0, *BOX)] * count)
    assert correct.shape == (len(rows), 10) and not correct.any()


def test_an_exact_box_matches_at_every_threshold_and_once():
    correct = match_detections([(*BOX, 0.4, 1), (*BOX, 0.9, 1), (*BOX, 0.95, 0)], [(1, *BOX)])
    assert correct.tolist() == [[False] * 10, [True] * 10, [False] * 10]


def test_a_detection_that_loses_its_label_does_not_try_the_next():
    near = (10, 10, 20, 19)
    rows = [(*BOX, 0.9, 0), (*BOX, 0.8, 0)]
    assert match_detections(rows, [(0, *BOX), (0, *near)])[:, 0].tolist() == [True, False]


def test_overlap_equal_to_the_threshold_counts():
    half = (10, 10, 20, 15)
    assert match_detections([(*half, 0.9, 0)], [(0, *BOX)]).tolist() == [[True] + [False] * 9]


def test_boxes_without_area_or_number_match_nothing():
    nan = float("nan")
    rows = [(10, 10, 10, 20, 0.9, 0), (nan, 10, 20, 20, 0.9, 0)]
    assert not match_detections(rows, [(0, 10, 10, 10, 20), (0, *BOX)], [0.1]).any()


def test_a_confidence_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="confidence"):
        match_detections([(*BOX, float("nan"), 0)], [(0, *BOX)])


@pytest.mark.parametrize("rows, label_rows", [([BOX], []), ([], [BOX]), ([1.0, 2.0], [])])
def test_wrong_columns_are_refused(rows, label_rows):
    with pytest.raises(ValueError, match="must be"):
        match_detections(rows, label_rows)
