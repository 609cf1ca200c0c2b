import dataclasses
import functools
import gc
import itertools
import threading
import tracemalloc

import cv2
import numpy as np
import pytest

from tests.data.samples import LOW, hyperparameters, make_index, rendered
from yolo.data import loader as loaders
from yolo.data.batch import Batch
from yolo.data.loader import train_loader, val_loader
from yolo.data.planner import Planner
from yolo.data.stages import Pipeline
from yolo.distributed.ranks import Ranks
from yolo.errors import ConfigError, DataError

HYP = hyperparameters(**{**LOW, "mixup": 0.3, "copy_paste": 0.3})


def index_of(folder, images):
    return make_index(folder, [f"{k % 2} .5 .5 .{k % 8 + 1} .5\n" for k in range(images)])


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return index_of(tmp_path_factory.mktemp("set"), 11)


@pytest.fixture(scope="module")
def sixteen(tmp_path_factory):
    return index_of(tmp_path_factory.mktemp("sixteen"), 16)


def train(index, **options):
    return train_loader(index, HYP, **{"imgsz": 64, "batch_size": 4, "workers": 0, "seed": 0, **options})


def assert_equal(one, two):
    assert len(one) == len(two)
    for a, b in zip(one, two):
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.indices, b.indices)
        assert a.paths == b.paths and a.letterboxes == b.letterboxes
        for rows, others in zip(a.labels, b.labels):
            np.testing.assert_array_equal(rows, others)


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith(("loader", "renderer"))]


class Notes:
    """A renderer that paints each sample in the number of its image, and notes what it was given."""

    def __init__(self, supports=lambda plan: True):
        self.supports, self.opened, self.batches, self.closed = supports, [], [], 0

    def __call__(self, paths, threads, cache):
        self.opened.append((paths, threads, cache))
        return self

    def render(self, plans, out):
        self.batches.append(out)
        for plan, planes in zip(plans, out):
            planes[:] = plan.index

    def close(self):
        self.closed += 1


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("rect", [False, True])
def test_batches_are_the_same_for_any_number_of_workers(index, workers, rect):
    assert_equal(list(train(index, rect=rect).batches(2)), list(train(index, rect=rect, workers=workers).batches(2)))
    one, two = (val_loader(index, imgsz=64, batch_size=4, workers=number, rect=rect) for number in (0, workers))
    assert_equal(list(one.batches()), list(two.batches()))
    assert not loader_threads()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_batch_is_what_its_samples_are_alone(index, workers):
    planner = Planner(index, HYP, 64, seed=0)
    for batch in train(index, workers=workers).batches(2):
        for image, i in zip(batch.images, batch.indices):
            wanted = rendered(planner.plan(2, int(i)), index.paths)
            np.testing.assert_array_equal(image.transpose(1, 2, 0), wanted)
    planner = Planner(index, None, 64)
    for batch in val_loader(index, imgsz=64, batch_size=4, workers=workers).batches():
        for image, i in zip(batch.images, batch.indices):
            wanted = rendered(planner.plan(0, int(i), image.shape[1:]), index.paths)
            np.testing.assert_array_equal(image.transpose(1, 2, 0), wanted)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_renderer_writes_into_the_batch_itself(index, workers):
    loader, renderer = train(index, workers=workers), Notes()
    loader.renderers = (renderer,)
    batches = list(loader.batches(0))
    assert renderer.opened == [(index.paths, workers, None)] and renderer.closed == 1
    assert {id(batch.images) for batch in batches} == {id(out) for out in renderer.batches}
    for batch in batches:
        assert batch.images[:, 0, 0, 0].tolist() == batch.indices.tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_what_a_renderer_does_not_support_the_next_one_makes(index, workers):
    loader, renderer = train(index, workers=workers), Notes(lambda plan: plan.index % 2)
    plain = list(loader.batches(0))
    loader.renderers = (renderer, *loader.renderers)
    for one, two in zip(loader.batches(0), plain):
        for k, i in enumerate(one.indices):
            np.testing.assert_array_equal(one.images[k], i if i % 2 else two.images[k])
        assert all(np.array_equal(a, b) for a, b in zip(one.labels, two.labels))
    loader.renderers = (renderer,)
    with pytest.raises(DataError, match="no renderer can make the sample") as error:
        list(loader.batches(0))
    assert error.value.where in index.paths[::2]
    assert not loader_threads()


class SlowRenderer(Notes):
    """It takes three seconds a batch, by a clock that only it and the test move."""

    def __init__(self):
        super().__init__()
        self.now = 0.0

    def render(self, plans, out):
        super().render(plans, out)
        self.now += 3


def test_the_report_says_which_stage_was_the_bottleneck(index, monkeypatch):
    renderer, loader = SlowRenderer(), train(index)
    monkeypatch.setattr(loaders, "Pipeline", functools.partial(Pipeline, clock=lambda: renderer.now))
    loader.renderers = (renderer,)
    assert loader.report() is None
    for _ in loader.batches(0):
        renderer.now += 1
    report = loader.report()
    assert (report.seconds, report.waiting, report.busy) == (12, 9, {"plan": 0, "render": 9})
    assert report.bottleneck == "render"
    for _ in loader.batches(1):
        renderer.now += 4
    assert loader.report().bottleneck == "consumer" and loader.report().seconds == 21, "of the newest epoch"


def shown(batches):
    """The images of an epoch in their order."""
    return np.concatenate([batch.indices for batch in batches]).tolist()


def test_training_batches_show_every_image_once_and_the_last_has_the_rest(index):
    loader = train(index, workers=2)
    batches = list(loader.batches(0))
    assert len(batches) == len(loader) == 3 and loader.repeated == 0
    for batch, count in zip(batches, (4, 4, 3)):
        assert batch.images.shape == (count, 3, 64, 64) and batch.images.dtype == np.uint8
        assert batch.images.flags.c_contiguous and len(batch.labels) == len(batch.paths) == len(batch) == count
        assert batch.letterboxes is None
        assert [index.paths[i] for i in batch.indices] == list(batch.paths)
    assert sorted(shown(batches)) == list(range(11))
    assert shown(batches) != shown(loader.batches(1))


@pytest.mark.parametrize("batch_size", [11, 12, 100])
@pytest.mark.parametrize("rect", [False, True])
def test_a_set_smaller_than_the_batch_makes_a_batch_of_its_size(index, batch_size, rect):
    loader = train(index, batch_size=batch_size, rect=rect)
    for epoch in range(2):
        (batch,) = loader.batches(epoch)
        assert len(loader) == 1 and batch.images.shape[0] == 11 and sorted(batch.indices) == list(range(11))
    assert loader.shapes() == [(11, 3, 64, 64)]


def dealt(order, count, batch_size):
    """Each rank's batches of the epoch: what is missing to a multiple of the ranks comes from the beginning."""
    order = list(order)
    while len(order) % count:
        order.append(order[len(order) - len(set(order))])
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return [[batch[rank * len(batch) // count :][: len(batch) // count] for batch in batches] for rank in range(count)]


@pytest.mark.parametrize(("count", "batch_size"), [(1, 4), (2, 4), (2, 8), (3, 6), (4, 4), (4, 8), (4, 100), (7, 7)])
def test_ranks_share_the_last_batch_too(index, count, batch_size):
    """Each has as many images as the others; at most one fewer than there are ranks come again, and look different."""
    loaders = [train(index, batch_size=batch_size, ranks=Ranks(rank, count)) for rank in range(count)]
    parts = [list(loader.batches(5)) for loader in loaders]
    order = shown(train(index, batch_size=batch_size).batches(5))
    assert [[batch.indices.tolist() for batch in part] for part in parts] == dealt(order, count, batch_size)
    assert {loader.repeated for loader in loaders} == {-11 % count} and -11 % count < count
    images = {image.tobytes() for part in parts for batch in part for image in batch.images}
    assert len(images) == 11 + -11 % count
    for loader, part in zip(loaders, parts):
        assert {batch.images.shape for batch in part} == set(loader.shapes())


@pytest.mark.parametrize("count", [1, 2])
def test_quads_of_the_last_batch_are_whole(index, count):
    loader = train(index, batch_size=8, quad=True, ranks=Ranks(0, count))
    assert [len(batch) for batch in loader.batches(0)] == [2 // count, 2 // count if count == 2 else 1]
    assert loader.repeated == {1: 1, 2: 5}[count]


def test_an_epoch_can_be_entered_in_the_middle(index):
    assert_equal(list(train(index).batches(3))[1:], list(train(index).batches(3, start=1)))


def test_rect_training_keeps_its_order_and_shapes(index):
    loader = train(index, rect=True, batch_size=4)
    first, second = list(loader.batches(0)), list(loader.batches(1))
    assert [a.images.shape for a in first] == [(4, 3, 64, 64), (4, 3, 64, 64), (3, 3, 64, 64)]
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a.indices, b.indices)
    shapes = [batch.images.shape[2:] for batch in train(index, rect=True, batch_size=4, stride=16).batches(0)]
    assert shapes == [(48, 64), (64, 64), (64, 48)]


def test_validation_takes_each_image_once(index):
    for rect in (True, False):
        loader = val_loader(index, imgsz=64, batch_size=4, workers=2, rect=rect)
        batches = list(loader.batches())
        assert len(loader) == len(batches) == 3 and [len(batch) for batch in batches] == [4, 4, 3]
        assert sorted(np.concatenate([batch.indices for batch in batches])) == list(range(11))
        for batch in batches:
            assert all(box.size == batch.images.shape[2:] for box in batch.letterboxes)
            assert all(side % 32 == 0 for side in batch.images.shape[2:])
    assert [batch.images.shape[2:] for batch in batches] == [(64, 64)] * 3


def test_without_augmentation_training_samples_are_plain(index):
    (batch,) = train(index, augment=False, batch_size=11).batches(0)
    for rows, i in zip(batch.labels, batch.indices):
        assert rows[:, 0].tolist() == index.labels[i][:, 0].tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_ends_the_epoch_with_its_path(tmp_path, workers):
    index = make_index(tmp_path, ["0 .5 .5 .5 .5"] * 6)
    index.paths[4].write_bytes(b"broken")
    with pytest.raises(DataError, match=r"4\.png"):
        list(train(index, workers=workers).batches(0))
    with pytest.raises(DataError, match=r"4\.png"):
        list(val_loader(index, imgsz=64, batch_size=2, workers=workers).batches())
    gc.collect()
    assert not loader_threads()


def test_stopping_early_ends_the_threads(index):
    batches = train(index, workers=3, batch_size=1).batches(0)
    next(batches)
    assert loader_threads()
    batches.close()
    assert not loader_threads()
    for _ in itertools.islice(train(index, workers=3, batch_size=1).batches(0), 2):
        pass
    gc.collect()
    assert not loader_threads()


@pytest.mark.parametrize(("workers", "batch_size", "most"), [(1, 1, 3), (2, 1, 5), (2, 4, 3)])
def test_only_a_few_batches_are_made_ahead(index, workers, batch_size, most):
    loader, renderer = train(index, workers=workers, batch_size=batch_size), Notes()
    loader.renderers = (renderer,)
    batches = loader.batches(0)
    next(batches)
    batches.close()
    assert len(renderer.batches) <= most


def test_memory_stays_flat(index):
    loader = train(index, workers=2)

    def run(epochs):
        for epoch in range(epochs):
            for _ in loader.batches(epoch):
                pass
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = run(2)
        after = run(12)
    finally:
        tracemalloc.stop()
    assert after - before < 100_000


def test_impossible_settings_are_refused(index):
    with pytest.raises(ValueError, match="batch_size 0"):
        train(index, batch_size=0)
    with pytest.raises(ValueError, match="workers -1"):
        train(index, workers=-1)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("batch_size", [4, 12, 100])
@pytest.mark.parametrize("options", [{}, {"rect": True}, {"multi_scale": True}, {"quad": True}])
def test_ranks_together_train_on_the_batches_of_one(sixteen, count, options, batch_size):
    options = {**options, "batch_size": batch_size * 4 if "quad" in options else batch_size}
    parts = [train(sixteen, **options, ranks=Ranks(rank, count)).batches(3) for rank in range(count)]
    joined = [
        Batch(
            images=np.concatenate([part.images for part in batch]),
            labels=tuple(rows for part in batch for rows in part.labels),
            indices=np.concatenate([part.indices for part in batch]),
            paths=tuple(path for part in batch for path in part.paths),
            letterboxes=None,
        )
        for batch in zip(*parts)
    ]
    alone = [dataclasses.replace(batch, letterboxes=None) for batch in train(sixteen, **options).batches(3)]
    assert_equal(joined, alone)


def test_a_batch_that_does_not_divide_among_ranks_is_refused(index):
    with pytest.raises(ValueError, match="4 things do not divide among 3 ranks"):
        train(index, ranks=Ranks(0, 3))


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("rect", [False, True])
def test_ranks_in_order_validate_the_batches_of_one(index, count, rect):
    def batches(ranks):
        return list(val_loader(index, imgsz=64, batch_size=4, workers=0, rect=rect, ranks=ranks).batches())

    assert_equal([batch for rank in range(count) for batch in batches(Ranks(rank, count))], batches(Ranks()))


def as_layout(index, **options):
    """Batches of a loader, and the plain batches that the same samples make."""
    return list(train(index, **options).batches(1)), list(train(index).batches(1))


@pytest.mark.parametrize("workers", [0, 2])
def test_multi_scale_resizes_finished_images(index, workers):
    scaled, plain = as_layout(index, multi_scale=True, workers=workers)
    assert {batch.images.shape[2:] for batch in scaled} <= {(32, 32), (64, 64), (96, 96)}
    assert len({batch.images.shape for batch in scaled}) > 1
    for one, two in zip(scaled, plain):
        height, width = one.images.shape[2:]
        for image, other in zip(one.images, two.images):
            resized = cv2.resize(other.transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_LINEAR)
            np.testing.assert_array_equal(image, resized.transpose(2, 0, 1))
        assert all(np.array_equal(a, b) for a, b in zip(one.labels, two.labels))


@pytest.mark.parametrize("workers", [0, 2])
def test_quads_show_four_samples_or_one_enlarged(sixteen, workers):
    batches, plain = as_layout(sixteen, quad=True, workers=workers)
    kinds = set()
    for quad, batch in zip(batches, plain):
        assert quad.images.shape == (1, 3, 128, 128) and quad.paths == batch.paths[:1]
        upper = np.concatenate([batch.images[0], batch.images[2]], axis=2)
        four = np.concatenate([upper, np.concatenate([batch.images[1], batch.images[3]], axis=2)], axis=1)
        one = cv2.resize(batch.images[0].transpose(1, 2, 0), (128, 128)).transpose(2, 0, 1)
        kind = [np.array_equal(quad.images[0], image) for image in (one, four)]
        assert sum(kind) == 1
        kinds.add(kind[0])
        assert len(quad.labels[0]) == (len(batch.labels[0]) if kind[0] else sum(map(len, batch.labels)))
    assert kinds == {True, False}


def test_quads_need_a_multiple_of_four(index):
    with pytest.raises(ConfigError, match="--quad: four images make one, and 6 is not a multiple of four"):
        train(index, quad=True, batch_size=6)


def test_shapes_are_told_beforehand(index):
    assert train(index).shapes() == [(4, 3, 64, 64), (3, 3, 64, 64)]
    assert train(index, batch_size=11).shapes() == [(11, 3, 64, 64)]
    assert train(index, quad=True).shapes() == [(1, 3, 128, 128)]
    both = [(4, 3, 96, 96), (3, 3, 96, 96), (4, 3, 64, 64), (3, 3, 64, 64), (4, 3, 32, 32), (3, 3, 32, 32)]
    assert train(index, multi_scale=True).shapes() == both
    assert train(index, rect=True, stride=16).shapes() == [(4, 3, 64, 64), (4, 3, 48, 64), (3, 3, 64, 48)]
    for options in ({"rect": True, "stride": 16}, {"rect": True, "stride": 16, "multi_scale": True}):
        loader = train(index, **options)
        made = {batch.images.shape for epoch in range(4) for batch in loader.batches(epoch)}
        assert made <= set(loader.shapes())
