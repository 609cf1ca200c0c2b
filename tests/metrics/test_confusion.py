from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests.metrics import reference
from tests.metrics.strategies import CLASSES, few, images
from yolo.metrics.confusion import ConfusionMatrix

BOX, FAR = (10, 10, 20, 20), (50, 50, 60, 60)


@few
@given(images)
def test_counts_are_those_of_the_plain_loops(images):
    matrix = ConfusionMatrix(CLASSES)
    for detections, labels in images:
        matrix.update(detections, labels)
    assert (matrix.matrix == reference.confusion(images, CLASSES)).all()


@few
@given(images)
def test_every_label_counts_once(images):
    matrix = ConfusionMatrix(CLASSES)
    for detections, labels in images:
        matrix.update(detections, labels)
    classes = [int(c) for _, labels in images for c in labels[:, 0]]
    assert matrix.matrix[:, :CLASSES].sum(0).tolist() == np.bincount(classes, minlength=CLASSES).tolist()
    assert np.isfinite(matrix.normalised()).all()


def test_the_four_outcomes():
    matrix = ConfusionMatrix(2)
    detections = [(*BOX, 0.9, 1), (*FAR, 0.9, 1), (*FAR, 0.25, 0)]
    matrix.update(detections, [(0, *BOX), (0, 80, 80, 90, 90)])
    expected = np.zeros((3, 3), int)
    expected[1, 0] = 1  # taken for another class
    expected[2, 0] = 1  # not found
    expected[1, 2] = 1  # not there; the one at 0.25 is not above the threshold
    assert (matrix.matrix == expected).all()
    assert matrix.normalised()[:, 0].tolist() == [0, 0.5, 0.5]


def test_merging_adds():
    one, two = ConfusionMatrix(1), ConfusionMatrix(1)
    one.update([(*BOX, 0.9, 0)], [(0, *BOX)])
    two.update([], [(0, *BOX)])
    one.merge(two)
    assert one.matrix.tolist() == [[1, 0], [1, 0]]
    with pytest.raises(ValueError):
        one.merge(ConfusionMatrix(1, conf=0.5))
