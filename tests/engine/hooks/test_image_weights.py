"""The hook that weighs images: what it makes of validations, and what it hands on to a resumed run."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np

from yolo.data.image_weights import image_weights
from yolo.engine.hooks.image_weights import ImageWeights

LABELS = [np.array([[label, 0.5, 0.5, 0.1, 0.1]], np.float32) for label in (0, 0, 1, 2)]


def trainer():
    loader = SimpleNamespace(index=SimpleNamespace(labels=LABELS), weights=None)
    return SimpleNamespace(parts=SimpleNamespace(loader=loader, names=("a", "b", "c")))


def report(classes, ap):
    metrics = SimpleNamespace(classes=np.array(classes), ap=np.array(ap), map50_95=float(np.mean(ap)))
    return SimpleNamespace(validation=SimpleNamespace(metrics=metrics))


def test_at_first_rarity_alone_decides():
    run, hook = trainer(), ImageWeights()
    hook.before_epoch(run, 0)
    np.testing.assert_allclose(run.parts.loader.weights / run.parts.loader.weights.sum(), [1 / 6, 1 / 6, 1 / 3, 1 / 3])


def test_what_was_measured_counts_from_the_next_epoch_on_and_survives_a_resume():
    run, hook = trainer(), ImageWeights()
    hook.before_epoch(run, 0)
    hook.after_epoch(run, report([0, 2], [0.2, 0.7]))
    resumed, other = ImageWeights(), trainer()
    resumed.load_state(json.loads(json.dumps(hook.state())))
    for one, place in ((hook, run), (resumed, other)):
        one.before_epoch(place, 1)
        expected = image_weights(LABELS, np.array([0.2, 0.45, 0.7]))
        np.testing.assert_array_equal(place.parts.loader.weights, expected)


def test_an_epoch_that_was_not_validated_changes_nothing():
    run, hook = trainer(), ImageWeights()
    hook.before_epoch(run, 0)
    hook.after_epoch(run, report([0, 1, 2], [0.2, 0.7, 0.1]))
    before = hook.state()
    hook.after_epoch(run, SimpleNamespace(validation=None))
    assert hook.state() == before == {"maps": [0.2, 0.7, 0.1]}
    assert ImageWeights().state() == {}
