import dataclasses
import sys
from collections import Counter

import numpy as np
import pytest

from tests.data import stand_in
from tests.data.samples import LOW, hyperparameters, make_index
from yolo.data import extras
from yolo.data.extras import apply_extras, draw_extras, library
from yolo.data.loader import train_loader
from yolo.data.planner import Planner
from yolo.errors import ConfigError

EACH = (("Blur", 5.0), ("MedianBlur", 3.0), ("ToGray", 0.0), ("CLAHE", 2.5))


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)


@pytest.fixture
def stand(monkeypatch):
    monkeypatch.setitem(sys.modules, "albumentations", stand_in.module())


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return make_index(tmp_path_factory.mktemp("set"), [f"{k % 2} .5 .5 .{k + 1} .5\n" for k in range(6)])


def test_each_comes_in_one_of_a_hundred_samples():
    drawn = [extra for seed in range(20_000) for extra in draw_extras(np.random.default_rng(seed))]
    counts = Counter(name for name, _ in drawn)
    assert set(counts) == {name for name, _ in EACH} and all(150 < count < 250 for count in counts.values())
    assert {strength for name, strength in drawn if "Blur" in name} == {3.0, 5.0, 7.0}
    assert all(1 <= strength <= 4 for name, strength in drawn if name == "CLAHE")


def test_the_stand_in_is_the_oracle_of_the_library(image, monkeypatch):
    pytest.importorskip("albumentations", reason="the optional library albumentations is not installed")
    real = [apply_extras(image, some) for some in (*((extra,) for extra in EACH), EACH)]
    monkeypatch.setitem(sys.modules, "albumentations", stand_in.module())
    for one, some in zip(real, (*((extra,) for extra in EACH), EACH)):
        np.testing.assert_array_equal(one, apply_extras(image, some))
        assert one.dtype == np.uint8 and one.flags.c_contiguous


def test_pixels_change_in_order(image, stand):
    once = apply_extras(apply_extras(image, EACH[:1]), EACH[2:3])
    np.testing.assert_array_equal(apply_extras(image, (EACH[0], EACH[2])), once)
    assert not np.array_equal(once, image) and apply_extras(image, ()) is image


def test_nothing_else_of_a_plan_changes(index, monkeypatch):
    monkeypatch.setattr(extras, "PROBABILITY", 0.5)
    hyp = hyperparameters(**LOW, mixup=0.5)
    plain, more = (Planner(index, hyp, 64, seed=1, extras=wanted) for wanted in (False, True))
    drawn = set()
    for epoch in range(5):
        for i in range(6):
            one, two = plain.plan(epoch, i), more.plan(epoch, i)
            assert one.extras == () and two.extras == more.plan(epoch, i).extras
            drawn.add(two.extras)
            for field in dataclasses.fields(one):
                if field.name not in ("extras", "views"):
                    np.testing.assert_array_equal(getattr(one, field.name), getattr(two, field.name))
            assert [view.tiles for view in one.views] == [view.tiles for view in two.views]
    assert len(drawn) > 10


@pytest.mark.usefixtures("stand")
def test_batches_are_the_same_for_any_number_of_workers(index, monkeypatch):
    monkeypatch.setattr(extras, "PROBABILITY", 0.5)

    def batches(workers, wanted=True):
        options = {"imgsz": 64, "batch_size": 3, "workers": workers, "seed": 4, "extras": wanted}
        return [batch.images for batch in train_loader(index, hyperparameters(**LOW), **options).batches(0)]

    for one, two, plain in zip(batches(0), batches(3), batches(0, wanted=False)):
        np.testing.assert_array_equal(one, two)
        assert not np.array_equal(one, plain)


def test_an_absent_library_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(ConfigError, match=r"--albumentations: the library .* pip install albumentations==1\.3\.1, or"):
        library()
