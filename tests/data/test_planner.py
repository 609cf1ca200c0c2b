import dataclasses

import numpy as np
import pytest

from tests.data.samples import LOW, hyperparameters, make_index
from yolo.data.planner import Planner, epoch_order, label_bound

EVERYTHING = {
    **LOW,
    "degrees": 10,
    "shear": 5,
    "perspective": 0.0005,
    "flipud": 0.5,
    "mixup": 0.5,
    "copy_paste": 0.5,
    "mosaic": 0.7,
}


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    texts = [
        f"{k % 2} .3 .3 .2 .3\n{(k + 1) % 2} .6 .6 .9 .6 .9 .9 .6 .9\n" * (k % 3 > 0) + "1 .5 .5 .9 .9\n"
        for k in range(8)
    ]
    return make_index(tmp_path_factory.mktemp("set"), texts)


def same(one, two):
    """Whether two plans agree in every number."""
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(one))
    if isinstance(one, tuple) and isinstance(two, tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return np.array_equal(one, two)


def test_a_plan_depends_on_nothing_but_seed_epoch_and_image(index):
    one = Planner(index, hyperparameters(**EVERYTHING), 64, seed=3)
    two = Planner(index, hyperparameters(**EVERYTHING), 64, seed=3)
    wanted = {(e, i): one.plan(e, i) for e in range(3) for i in range(8)}
    for e, i in reversed(wanted):
        assert same(two.plan(e, i), wanted[e, i])
    labels = [plan.labels for plan in wanted.values()]
    assert sum(np.array_equal(labels[0], other) for other in labels) == 1
    other_seed = Planner(index, hyperparameters(**EVERYTHING), 64, seed=4)
    assert not same(other_seed.plan(0, 0), wanted[0, 0])


def test_every_label_is_sound_and_within_the_bound(index):
    hyp = hyperparameters(**EVERYTHING)
    planner = Planner(index, hyp, 64, seed=0)
    most, kinds = 0, set()
    for epoch in range(40):
        for i in range(len(index)):
            plan = planner.plan(epoch, i)
            rows = plan.labels
            assert rows.dtype == np.float32 and rows.shape[1] == 5 and np.isfinite(rows).all()
            assert (rows[:, 1:3] >= 0).all() and (rows[:, 1:3] < 1).all()
            assert (rows[:, 3:] > 0).all() and (rows[:, 3:] <= 1).all()
            low, high = rows[:, 1:3] - rows[:, 3:] / 2, rows[:, 1:3] + rows[:, 3:] / 2
            assert low.min(initial=0) >= -1e-5 and high.max(initial=0) <= 1 + 1e-5
            most = max(most, len(rows))
            kinds.add((len(plan.views), len(plan.views[0].tiles)))
    assert kinds == {(1, 1), (1, 4), (2, 4)}
    assert 0 < most <= label_bound(index, hyp)


def test_the_image_itself_is_always_in_its_mosaic(index):
    planner = Planner(index, hyperparameters(mosaic=1), 64, seed=0)
    arrangements = set()
    for epoch in range(60):
        view = planner.plan(epoch, 5).views[0]
        images = [tile.image for tile in view.tiles]
        assert 5 in images and view.canvas == (128, 128)
        arrangements.add(images.index(5))
        x, y = view.tiles[3].offset
        assert 32 <= x <= 96 and 32 <= y <= 96
    assert arrangements == {0, 1, 2, 3}


def test_probabilities(index):
    hyp = hyperparameters(mosaic=0.6, mixup=0.3, fliplr=0.5, flipud=0.2)
    plans = [Planner(index, hyp, 32, seed=s).plan(0, i) for s in range(150) for i in range(8)]
    mosaics = [plan for plan in plans if len(plan.views[0].tiles) == 4]
    blends = [plan.share for plan in plans if len(plan.views) == 2]
    assert len(mosaics) / len(plans) == pytest.approx(0.6, abs=0.04)
    assert len(blends) / len(mosaics) == pytest.approx(0.3, abs=0.05)
    assert np.mean([plan.flip_horizontal for plan in plans]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([plan.flip_vertical for plan in plans]) == pytest.approx(0.2, abs=0.04)
    assert np.mean(blends) == pytest.approx(0.5, abs=0.02) and np.std(blends) == pytest.approx(0.062, abs=0.01)


def test_rect_training_has_no_mosaic_and_keeps_the_size(index):
    plan = Planner(index, hyperparameters(mosaic=1), 64, mosaic=False).plan(0, 0, (48, 64))
    assert plan.size == (48, 64) and len(plan.views) == 1 and len(plan.views[0].tiles) == 1


def test_no_augmentation_only_letterboxes(index):
    plan = Planner(index, None, 96).plan(7, 0, (96, 96))
    box = plan.letterbox
    assert box.resized == (72, 96) and box.pad == (0, 12)
    rows = index.labels[0]
    np.testing.assert_allclose(plan.labels[:, 2], (rows[:, 2] * 72 + 12) / 96, atol=1e-5)
    np.testing.assert_allclose(plan.labels[:, 1], rows[:, 1], atol=1e-5)
    assert plan.hsv is None and plan.views[0].matrix is None


def test_flips_mirror_the_labels(index):
    plain = Planner(index, hyperparameters(), 64).plan(0, 1).labels
    flipped = Planner(index, hyperparameters(fliplr=1, flipud=1), 64).plan(0, 1).labels
    np.testing.assert_allclose(flipped[:, 1:3], 1 - plain[:, 1:3], atol=1e-6)
    np.testing.assert_array_equal(flipped[:, [0, 3, 4]], plain[:, [0, 3, 4]])


def test_epoch_order_is_a_permutation_that_changes():
    first = epoch_order(50, 0, 0)
    assert sorted(first) == list(range(50))
    np.testing.assert_array_equal(first, epoch_order(50, 0, 0))
    assert not np.array_equal(first, epoch_order(50, 0, 1))
    assert not np.array_equal(first, epoch_order(50, 1, 0))
    assert len(epoch_order(0, 0, 0)) == 0


def test_label_bound(index):
    assert label_bound(index, None) == label_bound(index, hyperparameters()) == 3
    assert label_bound(index, hyperparameters(mosaic=1)) == 12
    assert label_bound(index, hyperparameters(mosaic=1, mixup=0.1)) == 24
    assert label_bound(index, hyperparameters(mosaic=1, mixup=0.1, copy_paste=1)) == 32


def test_images_without_labels(tmp_path):
    index = make_index(tmp_path, [None, ""])
    planner = Planner(index, hyperparameters(**{**EVERYTHING, "mosaic": 0.5}), 32)
    assert all(planner.plan(e, 0).labels.shape == (0, 5) for e in range(20))
    assert label_bound(index, hyperparameters(mosaic=1)) == 1


def test_the_last_epochs_are_without_mosaic(index):
    hyp = hyperparameters(**{**LOW, "mixup": 1.0})
    ending, always = (Planner(index, hyp, 64, seed=3, mosaic_end=end) for end in (2, None))
    for i in range(len(index)):
        assert same(ending.plan(1, i), always.plan(1, i)) and len(always.plan(2, i).views) == 2
        for epoch in (2, 3):
            (view,) = ending.plan(epoch, i).views
            assert len(view.tiles) == 1 and view.matrix is not None
