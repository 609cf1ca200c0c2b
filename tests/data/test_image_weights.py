import numpy as np
import pytest

from tests.data.samples import LOW, hyperparameters, make_index
from yolo.data.image_weights import class_weights, draw, image_weights, repeats
from yolo.data.loader import train_loader
from yolo.data.planner import Planner


def rows(*classes):
    return np.array([[label, 0.5, 0.5, 0.1, 0.1] for label in classes], np.float32).reshape(-1, 5)


LABELS = [rows(0, 0, 0, 1), rows(0), rows(), rows(1, 3)]


def test_classes_weigh_by_rarity():
    # labels: 4 of class 0, 2 of class 1, none of class 2, 1 of class 3
    rarity = np.array([1 / 4, 1 / 2, 1, 1])
    np.testing.assert_allclose(class_weights(LABELS, 4), rarity / rarity.sum())


def test_images_weigh_by_their_labels_and_by_what_is_not_found():
    maps = np.array([0.9, 0.5, 0.0, 0.2])
    classes = class_weights(LABELS, 4)
    wanted = [sum(classes[int(label)] * (1 - maps[int(label)]) ** 2 for label in some[:, 0]) for some in LABELS]
    np.testing.assert_allclose(image_weights(LABELS, maps), wanted)
    assert wanted[2] == 0
    assert image_weights(LABELS, np.ones(4)).tolist() == [1] * 4, "all is found: all alike"


def test_a_draw_follows_the_weights_and_comes_again():
    weights = np.array([0.0, 1.0, 3.0, 0.0, 6.0])
    drawn = np.concatenate([draw(weights, 5, epoch) for epoch in range(2000)])
    shares = np.bincount(drawn, minlength=5) / len(drawn)
    np.testing.assert_allclose(shares, weights / 10, atol=0.02)
    assert np.array_equal(draw(weights, 5, 7), draw(weights, 5, 7))
    assert not all(np.array_equal(draw(weights, 5, epoch), draw(weights, 6, epoch)) for epoch in range(9))


@pytest.mark.parametrize("seed", range(4))
def test_repeats_count_what_came_before(seed):
    order = np.random.default_rng(seed).integers(0, 6, 20 * (seed > 0))
    assert repeats(order).tolist() == [order[:k].tolist().count(value) for k, value in enumerate(order)]


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    texts = [f"{k % 2} .5 .5 .{k % 8 + 1} .5\n" for k in range(11)]
    return make_index(tmp_path_factory.mktemp("set"), texts)


def weighted(index, workers=0):
    loader = train_loader(index, hyperparameters(**LOW), imgsz=64, batch_size=4, workers=workers, seed=2)
    loader.weights = np.array([0, 0, 5, 1, 1, 0, 0, 0, 0, 0, 1.0])
    return loader


def test_the_loader_draws_images_and_the_others_of_a_mosaic(index):
    loader = weighted(index)
    shown = set()
    for epoch in range(5):
        order = np.concatenate([batch.indices for batch in loader.batches(epoch)])
        drawn = draw(loader.weights, 2, epoch)
        assert order.tolist() == drawn.tolist()
        for i, repeat in zip(drawn, repeats(drawn)):
            plan = loader.planner.plan(epoch, int(i), repeat=int(repeat), partners=drawn)
            shown |= {tile.image for view in plan.views for tile in view.tiles}
    assert shown == {2, 3, 4, 10}


def test_an_image_that_comes_again_looks_different(index):
    batches = list(weighted(index).batches(0))
    images = {}
    for batch in batches:
        for i, image in zip(batch.indices, batch.images):
            images.setdefault(int(i), []).append(image.tobytes())
    most = max(images.values(), key=len)
    assert len(most) > 3 and len(set(most)) == len(most)


def test_any_workers_and_any_start_give_the_same(index):
    whole, parts = list(weighted(index).batches(1)), list(weighted(index, workers=2).batches(1, start=1))
    assert len(whole) == 3 and len(parts) == 2
    for one, two in zip(whole[1:], parts):
        np.testing.assert_array_equal(one.images, two.images)
        np.testing.assert_array_equal(one.indices, two.indices)


def test_plans_without_a_draw_are_what_they_were(index):
    planner = Planner(index, hyperparameters(**LOW), 64, seed=1)
    one, two = planner.plan(0, 3), planner.plan(0, 3, repeat=0, partners=np.arange(11))
    np.testing.assert_array_equal(one.labels, two.labels)
    assert one.views[0].tiles == two.views[0].tiles
