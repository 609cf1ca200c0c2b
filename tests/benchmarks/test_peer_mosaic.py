"""The samples of the PyTorch-style loader: labels lie where the pixels are, and there is as much in them as in ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.mosaic import Mosaics, change_colours, worth_keeping
from tests.data.samples import LOW, hyperparameters, rendered
from tests.train.samples import COLOURS, drawn_image
from yolo.data.images import write_image
from yolo.data.index import index_split
from yolo.data.load import load_dataset
from yolo.data.planner import Planner

SIDE = 128
WILD = {**LOW, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0, "flipud": 0.5}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory):
    folder, rng = tmp_path_factory.mktemp("mosaic"), np.random.default_rng(0)
    for number in range(12):
        image, rows = drawn_image(rng, (96, 128) if number % 2 else (128, 100))
        write_image(folder / f"images/{number}.png", image)
        (folder / "labels").mkdir(exist_ok=True)
        (folder / f"labels/{number}.txt").write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))
    (folder / "data.yaml").write_text("path: .\ntrain: images\nval: images\nnames: [red, blue]\n")
    return index_split(load_dataset(folder / "data.yaml"), "train", use_cache=False)


def mosaics(index, *, cached: bool = False, **hyp: float) -> Mosaics:
    return Mosaics(list(map(str, index.paths)), index.labels, SIDE, hyperparameters(**hyp), cached=cached)


def overlap(image: np.ndarray, rows: np.ndarray) -> float:
    """IoU of the pixels of the rectangles' colours and those inside of the labels; image: RGB ``[3, h, w]``."""
    coloured, labelled = (np.zeros((2, SIDE, SIDE), bool) for _ in range(2))
    for number, colour in enumerate(COLOURS):
        coloured[number] = (np.abs(image.astype(int) - np.reshape(colour, (3, 1, 1))) < 60).all(0)
    for number, x, y, w, h in rows:
        left, top, right, bottom = (round(SIDE * value) for value in (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
        labelled[int(number), top:bottom, left:right] = True
    return float((coloured & labelled).sum() / (coloured | labelled).sum())


@pytest.mark.parametrize("cached", [False, True])
def test_labels_lie_on_their_pixels(index, cached: bool) -> None:
    made, rng = mosaics(index, cached=cached, **WILD), np.random.default_rng(1)
    found = [made.sample(i % 12, rng) for i in range(60)]
    for image, rows in found:
        assert image.shape == (3, SIDE, SIDE) and image.dtype == np.uint8 and image.flags.c_contiguous
        assert rows.dtype == np.float32 and rows.shape[1] == 5 and (rows[:, 1:] >= 0).all() and (rows[:, 1:] <= 1).all()
    assert np.mean([overlap(*one) for one in found]) > 0.9


def test_a_cache_changes_no_pixel(index) -> None:
    one, two = (mosaics(index, cached=cached, **LOW).sample(3, np.random.default_rng(5)) for cached in (False, True))
    assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])


@pytest.mark.parametrize("hyp", [LOW, {**LOW, "degrees": 30.0, "shear": 5.0, "perspective": 0.0005}])
def test_samples_are_as_full_as_the_project_s(index, hyp) -> None:
    made, planner, rng = mosaics(index, **hyp), Planner(index, hyperparameters(**hyp), SIDE), np.random.default_rng(2)
    theirs = [made.sample(i % 12, rng) for i in range(240)]
    plans = [planner.plan(epoch, i) for epoch in range(20) for i in range(12)]
    labels = [np.mean([len(rows) for _, rows in theirs]), np.mean([len(plan.labels) for plan in plans])]
    sizes = [np.concatenate(rows)[:, 3:].mean() for rows in ([rows for _, rows in theirs], [p.labels for p in plans])]
    grey = [
        np.mean([(image == 114).all(0).mean() for image, _ in theirs[:120]]),
        np.mean([(rendered(plan, index.paths) == 114).all(-1).mean() for plan in plans[:120]]),
    ]
    assert labels[0] == pytest.approx(labels[1], rel=0.1)
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)
    assert grey[0] == pytest.approx(grey[1], abs=0.05)


def test_colours_change_in_place_by_their_gains() -> None:
    image = np.full((2, 2, 3), (0, 0, 200), np.uint8)  # red, of value 200
    change_colours(image, np.array([1, 1, 0.5]))
    assert (image == (0, 0, 100)).all()
    change_colours(image, np.array([1, 0, 1.5]))
    assert (image == 150).all()


def test_boxes_that_are_not_worth_keeping() -> None:
    before = np.tile([[0.0, 0, 50, 50]], (4, 1))
    after = np.array([[0, 0, 50, 50], [0, 0, 1.5, 50], [0, 0, 10, 20], [0, 0, 400, 3.0]])
    assert worth_keeping(before, after).tolist() == [True, False, False, False]


def test_an_image_that_cannot_be_read_is_named(index, tmp_path: Path) -> None:
    lost = Mosaics([str(tmp_path / "no.jpg")] * 4, index.labels[:4], SIDE, hyperparameters(**LOW))
    with pytest.raises(FileNotFoundError, match=r"no\.jpg"):
        lost.sample(0, np.random.default_rng(0))
