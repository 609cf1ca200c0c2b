"""DALI on the CPU against OpenCV. On a GPU the same pipeline runs with other names of devices."""

import dataclasses
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import oneflow as flow
import pytest

from tests.data.renderers.photographs import drawn, photographs
from tests.data.samples import LOW, hyperparameters
from tests.data.test_label_pixels import build, overlaps
from yolo.data.loader import train_loader, val_loader
from yolo.data.plan import SamplePlan, Tile, View
from yolo.data.planner import Planner
from yolo.data.renderers import dali_pipeline
from yolo.data.renderers.dali import DaliRenderer
from yolo.data.renderers.dali_inputs import Encoded, Slots
from yolo.data.renderers.opencv import OpenCVRenderer, shift_colours

NONE = np.zeros((0, 5), np.float32)
GREY = dict.fromkeys(("hsv_h", "hsv_s", "hsv_v"), 0.0)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    return drawn(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def renderer(index):
    opened = DaliRenderer(index.paths, 2)
    yield opened
    opened.close()


def made(renderer, plans, size=None):
    out = np.full((len(plans), 3, *(size or plans[0].size)), 7, np.uint8)
    renderer.render(plans, out)
    return out


def difference(index, renderer, plans, size=None):
    """Mean, 99th percentile and maximum."""
    assert all(map(renderer.supports, plans))
    one, two = (made(each, plans, size) for each in (renderer, OpenCVRenderer(index.paths, 0)))
    apart = cv2.absdiff(one.reshape(-1), two.reshape(-1))
    return apart.mean(), np.percentile(apart, 99), apart.max()


def planned(index, count=12, imgsz=330, **changes):
    planner = Planner(index, hyperparameters(**{**LOW, **GREY, **changes}), imgsz, seed=3)
    return [planner.plan(k // len(index), k % len(index)) for k in range(count)]


CASES = {
    "mosaic": {"flipud": 0.5},
    "one image": {"mosaic": 0.0},
    "turned": {"degrees": 20, "shear": 8},
    "far away": {"scale": 0.9, "translate": 0.9, "degrees": 40},
    "mixup": {"mixup": 0.5},
}


@pytest.mark.parametrize("case", CASES)
def test_drawn_images_look_as_opencv_makes_them(index, renderer, case):
    """Better where no image becomes half as large, which libjpeg makes of its coefficients, DALI of the pixels."""
    mean, most, _ = difference(index, renderer, planned(index, 16, 330, **CASES[case]))
    assert mean <= 0.3 and most <= 2
    mean, most, _ = difference(index, renderer, planned(index, 24, 160, **CASES[case]))
    assert mean <= 0.6 and most <= 4


def test_mosaics_of_photographs_look_as_opencv_makes_them():
    """Closer than asked for: a mean of 1.0 and 4 at the 99th percentile before the colours are changed."""
    found = photographs()
    opened = DaliRenderer(found.paths, 2)
    coloured = planned(found, 64, 320, **{name: LOW[name] for name in GREY})
    plain = [dataclasses.replace(plan, hsv=None) for plan in coloured]
    mean, most, _ = difference(found, opened, plain)
    assert mean <= 0.4 and most <= 2
    mean, most, _ = difference(found, opened, coloured)
    assert mean <= 0.5 and most <= 3
    opened.close()


def stored(size, matrix=None, **changes):
    """A sample that is nothing but image 0 of ``size``."""
    view = View(size, (Tile(0, size, (0, 0)),), size, matrix=matrix)
    return SamplePlan(index=0, size=size, views=(view,), labels=NONE, augmented=True, **changes)


class Kept:
    """A cache of one image."""

    def __init__(self, image):
        self.image = image

    def get(self, i, size, augmented):
        return self.image if size == self.image.shape[:2] else None


def test_colours_are_those_of_opencvs_tables():
    """Every pair of levels in two channels and others, under small changes of hue and large ones."""
    levels = np.arange(256, dtype=np.uint8)
    rng = np.random.default_rng(2)
    image = np.stack([*np.meshgrid(levels, levels), rng.integers(0, 256, (256, 256), dtype=np.uint8)], -1)
    gains = [(1, 1, 1), *(rng.uniform(-1, 1, (20, 3)) * (0.015, 0.7, 0.4) + 1), *(rng.uniform(-1, 1, (5, 3)) + 1)]
    plans = [stored((256, 256), hsv=tuple(map(float, some))) for some in gains]
    opened = DaliRenderer([Path("kept")], 2, Kept(image))
    got = made(opened, plans).transpose(0, 2, 3, 1)
    opened.close()
    apart = np.stack([cv2.absdiff(one, shift_colours(image, plan.hsv)) for one, plan in zip(got, plans)])
    assert apart.max() <= 8 and (apart > 0).mean() < 0.002  # where a product is a whole number but for its rounding


def test_what_only_moves_pixels_is_exact(index, renderer):
    """Parts of JPEG files, by whole pixels, and flips: what DALI decodes is what OpenCV decodes."""
    plans = []
    for k, (height, width) in enumerate(index.shapes.tolist()):
        size = height + 9, width + 5
        shift = np.array([[1, 0, 11.0 - 5 * k], [0, 1, 17.0 - 6 * k], [0, 0, 1]])
        view = View(size, (Tile(k, (height, width), (2, -7)),), (120, 140), matrix=shift)
        turned = {"flip_vertical": k % 2 == 0, "flip_horizontal": k % 3 == 0}
        plans.append(SamplePlan(index=k, size=(120, 140), views=(view,), labels=NONE, augmented=True, **turned))
    assert difference(index, renderer, plans)[2] == 0


def test_letterboxes(index):
    """Images that grow to 640, and those that have this size, which are exact."""
    batches = list(val_loader(index, imgsz=640, batch_size=4, workers=0).batches())
    mine = val_loader(index, imgsz=640, batch_size=4, workers=2, renderers=(DaliRenderer,))
    for one, two in zip(batches, mine.batches(), strict=True):
        apart = cv2.absdiff(one.images.reshape(-1), two.images.reshape(-1)).reshape(one.images.shape)
        assert apart.max() <= 1 and apart.mean() < 0.1
        for i, image in zip(one.indices, apart):
            assert image.any() == (max(index.shapes[i]) < 640)


def test_a_part_is_resized_as_the_whole_would_be(index, renderer):
    """Of some images little is seen, and the rest is not decoded: that changes no more than a rounding."""
    plans, cut = [], []
    for k in range(len(index)):
        for corner in ((0, 0), (31, 57), (60, 20)):
            whole = View((150, 170), (Tile(k, (150, 170), (0, 0)),), (150, 170))
            x, y = corner
            part = View((80, 90), (Tile(k, (150, 170), (-x, -y)),), (80, 90))
            plans += [SamplePlan(k, view.size, (view,), NONE, augmented=True) for view in (whole, part)]
            cut.append(corner)
    out = [np.empty((3, *plan.size), np.uint8) for plan in plans]
    renderer.render(plans, out)
    for whole, part, (x, y) in zip(out[::2], out[1::2], cut, strict=True):
        apart = cv2.absdiff(part, whole[:, y : y + 80, x : x + 90])
        assert apart.max() <= 1 and apart.mean() < 0.02


def test_another_size_than_planned(index, renderer):
    for size in ((96, 96), (224, 192)):
        mean, most, _ = difference(index, renderer, planned(index), size)
        assert mean <= 0.4 and most <= 3


def test_labels_say_where_the_pixels_are(tmp_path):
    index = build(tmp_path, False, ".jpg")
    planner = Planner(index, hyperparameters(mosaic=1.0, scale=0.4, translate=0.1, fliplr=0.5), 320, seed=1)
    plans = [planner.plan(epoch, i) for epoch in range(4) for i in range(len(index))]
    opened = DaliRenderer(index.paths, 2)
    images = made(opened, plans)
    opened.close()
    found = [one for plan, image in zip(plans, images) for one in overlaps(image.transpose(1, 2, 0), plan.labels)]
    assert len(found) > 60 and min(found) >= 0.93


@pytest.mark.parametrize("workers", [0, 3])
def test_batches_are_the_same_for_any_number_of_threads_and_from_anywhere(index, workers):
    def batches(workers, start=0):
        hyp = hyperparameters(**LOW, mixup=0.3)
        options = {"imgsz": 96, "batch_size": 5, "seed": 4, "multi_scale": True, "renderers": (DaliRenderer,)}
        return [batch.images for batch in train_loader(index, hyp, workers=workers, **options).batches(1, start)]

    whole = batches(2)
    assert len(whole) == 3
    for start in range(3):
        for one, two in zip(whole[start:], batches(workers, start), strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_sample_is_the_same_in_any_company(index, renderer):
    """Alone, in a large batch that is made in parts, and while other threads render too."""
    plans = planned(index, 60, 64, mixup=0.5, hsv_h=0.1, hsv_s=0.5)
    together = made(renderer, plans)
    with ThreadPoolExecutor(4) as callers:
        for one, two in zip(together, callers.map(lambda plan: made(renderer, [plan])[0], plans), strict=True):
            np.testing.assert_array_equal(one, two)


def test_images_in_the_cache_are_not_read_again(index):
    image = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8), (0, 0), 2)
    matrix = np.array([[0.8, 0.1, 3], [-0.1, 0.9, 4], [0, 0, 1]])
    plans = [stored((60, 80), matrix), stored((60, 80), flip_horizontal=True)]
    gone = DaliRenderer([Path("gone.png")], 2, Kept(image))
    opencv = OpenCVRenderer([Path("gone.png")], 0, Kept(image))
    assert all(map(gone.supports, plans))
    assert cv2.absdiff(made(gone, plans), made(opencv, plans)).max() <= 2
    gone.close()
    other = DaliRenderer(index.paths, 2, Kept(image))
    assert difference(index, other, planned(index))[0] <= 0.3, "another size than what is kept is read from the file"
    other.close()


def test_nothing_is_left_of_what_is_closed(index):
    before = threading.active_count(), len(os.listdir("/proc/self/task"))
    opened = DaliRenderer(index.paths, 3)
    made(opened, planned(index))
    opened.close()
    assert threading.active_count() == before[0] and len(os.listdir("/proc/self/task")) <= before[1] + 2
    with pytest.raises(RuntimeError, match="closed"):
        made(opened, planned(index))


def test_memory_goes_to_oneflow_without_a_copy(index):
    def load(tile, augmented):
        return Encoded(np.fromfile(index.paths[tile.image], np.uint8), tuple(index.shapes[tile.image].tolist()))

    plans = planned(index, 5, mixup=0.5, hsv_s=0.4)
    pipeline = dali_pipeline.DaliPipeline(64, 2, "cpu")
    made_at = []
    for size in ((160, 160), (96, 128)):
        pipeline.start(Slots(plans, [size] * 5, load))
        rendered = pipeline.finish()
        out = np.empty((5, 3, *size), np.uint8)
        rendered.write(out)
        tensor = flow.from_dlpack(rendered.dlpack())
        np.testing.assert_array_equal(tensor.numpy(), out)
        assert not tensor.zero_().numpy().any()
        rendered.write(out)
        assert not out.any(), "they share the memory"
        made_at.append(tensor)
    del pipeline, rendered
    assert not made_at[0].numpy().any(), "and it stays the tensor's"
    pipeline = dali_pipeline.DaliPipeline(64, 2, "cpu")
    pipeline.start(Slots(plans, [(96, 96), *[(64, 64)] * 4], load))
    with pytest.raises(ValueError, match=r"one size .* \[\(3, 64, 64\), \(3, 96, 96\)\]"):
        pipeline.finish().dlpack()
