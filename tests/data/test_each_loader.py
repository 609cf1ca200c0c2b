"""For each ``--loader``: the same batches wherever an epoch is entered, for any number of workers and ranks."""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.renderers.photos import photo, save_jpeg
from tests.data.samples import LOW, hyperparameters
from tests.data.test_label_pixels import build, overlaps
from yolo.data.batch import Batch
from yolo.data.index import index_split
from yolo.data.load import load_dataset
from yolo.data.loader import TrainLoader, train_loader, val_loader
from yolo.data.records import Index
from yolo.data.renderers.choice import renderers
from yolo.distributed.ranks import Ranks

SIZES = ((96, 128), (128, 80), (60, 60), (200, 260), (97, 131))
HYP = hyperparameters(**{**LOW, "mixup": 0.3, "copy_paste": 0.3})
without_dali = pytest.mark.skipif(importlib.util.find_spec("nvidia.dali") is None, reason="DALI is not installed")
each_loader = pytest.mark.parametrize("name", ["native", "opencv", pytest.param("dali", marks=without_dali)])


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Nine JPEG files and two PNG files, with polygons on some."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "labels").mkdir()
    for k in range(11):
        image = photo(SIZES[k % len(SIZES)], k)
        if k % 5 == 4:
            (folder / "images").mkdir(exist_ok=True)
            Image.fromarray(image).save(folder / f"images/{k}.png")
        else:
            save_jpeg(folder / f"images/{k}.jpg", image)
        row = "0 .2 .3 .6 .3 .5 .8\n" if k % 2 else f"1 .5 .5 .{k % 7 + 2} .4\n"
        (folder / f"labels/{k}.txt").write_text(row)
    (folder / "data.yaml").write_text("train: images\nval: images\nnames: [a, b]\n")
    return index_split(load_dataset(folder / "data.yaml"), "train", use_cache=False)


def trained(index: Index, name: str, **options) -> TrainLoader:
    usual = {"imgsz": 64, "batch_size": 4, "workers": 0, "seed": 0, "renderers": renderers(name)}
    return train_loader(index, HYP, **{**usual, **options})


def assert_equal(ours: list[Batch], theirs: list[Batch]) -> None:
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.indices, other.indices)
        for rows, others in zip(one.labels, other.labels):
            np.testing.assert_array_equal(rows, others)


@each_loader
@pytest.mark.parametrize("options", [{}, {"multi_scale": True}, {"quad": True}, {"rect": True}], ids=str)
def test_an_epoch_is_the_same_for_any_workers_and_from_any_batch_on(index: Index, name: str, options: dict) -> None:
    whole = list(trained(index, name, **options).batches(1))
    for workers in (1, 3):
        assert_equal(list(trained(index, name, workers=workers, **options).batches(1)), whole)
    for start in range(1, len(whole)):
        assert_equal(list(trained(index, name, workers=2, **options).batches(1, start)), whole[start:])


@each_loader
def test_ranks_together_make_the_batches_of_one(index: Index, name: str) -> None:
    whole = list(trained(index, name).batches(0))[:2]  # the last one divides otherwise
    parts = [trained(index, name, ranks=Ranks(rank, 2)).batches(0) for rank in range(2)]
    for batch, *some in itertools.islice(zip(whole, *parts), 2):
        np.testing.assert_array_equal(np.concatenate([part.images for part in some]), batch.images)


@pytest.mark.parametrize("name", ["native", pytest.param("dali", marks=without_dali)])
def test_labels_are_opencvs_bit_for_bit(index: Index, name: str) -> None:
    for ours, theirs in zip(trained(index, name).batches(2), trained(index, "opencv").batches(2)):
        assert [rows.tobytes() for rows in ours.labels] == [rows.tobytes() for rows in theirs.labels]
        assert ours.paths == theirs.paths
        assert np.abs(ours.images.astype(int) - theirs.images).mean() < 3


@each_loader
def test_validations_batches_are_opencvs(index: Index, name: str) -> None:
    options = {"imgsz": 64, "batch_size": 3, "workers": 2}
    ours, theirs = (list(val_loader(index, **options, renderers=renderers(one)).batches()) for one in (name, "opencv"))
    for one, other in zip(ours, theirs):
        assert one.letterboxes == other.letterboxes and one.images.shape == other.images.shape
        assert np.abs(one.images.astype(int) - other.images).max() <= (0 if name == "native" else 6)


@each_loader
def test_labels_lie_on_their_pixels(tmp_path: Path, name: str) -> None:
    index = build(tmp_path, polygons=False)
    hyp = hyperparameters(mosaic=1.0, translate=0.1, scale=0.5, fliplr=0.5, flipud=0.5)
    found = []
    for epoch in range(4):
        for batch in train_loader(
            index, hyp, imgsz=320, batch_size=4, workers=0, seed=3, renderers=renderers(name)
        ).batches(epoch):
            for image, rows in zip(batch.images, batch.labels):
                found += overlaps(image.transpose(1, 2, 0), rows, inside_only=True)
    assert len(found) >= 30 and min(found) >= 0.93
