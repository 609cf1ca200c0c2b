import hashlib

import numpy as np
import pytest

from yolo.data import shapes
from yolo.data.index import index_split
from yolo.data.load import load_dataset
from yolo.data.shapes import CLASSES, ShapesSpec, draw_image, make_shapes
from yolo.errors import DataError

SMALL = ShapesSpec(train=6, val=3, size=64, seed=5)


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name, spec in {"a": SMALL, "b": SMALL, "c": ShapesSpec(6, 3, 64, 6)}.items():
        make_shapes(tmp_path / name, spec, tmp_path)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")
    assert len(list((tmp_path / "a" / "images" / "train").iterdir())) == 6
    assert len(list((tmp_path / "a" / "labels" / "val").iterdir())) == 3


def test_it_is_made_once_and_indexes_without_complaint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "mine.yaml"
    source.write_text(
        "path: drawn\ntrain: images/train\nval: images/val\nnames: [circle, square, triangle, star, ring]\n"
        "generator: {name: shapes, train: 12, val: 4, size: 64, seed: 1}\n"
    )
    dataset = load_dataset(source)
    assert dataset.names == CLASSES and dataset.root == tmp_path / "datasets" / "drawn"
    before = digest(dataset.root)
    assert load_dataset(source).root == dataset.root and digest(dataset.root) == before
    index = index_split(dataset, "train", use_cache=False)
    assert len(index) == 12 and not index.report.problems and not index.report.corrupt
    assert {path.name for path in (tmp_path / "datasets").iterdir()} == {"drawn"}


def test_the_preset_is_found_by_its_bare_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = []
    monkeypatch.setattr("yolo.data.load.make_shapes", lambda root, spec, source: made.append((root, spec)))
    with pytest.raises(DataError, match="does not exist"):
        load_dataset("shapes")
    assert made == [(tmp_path / "datasets" / "shapes", ShapesSpec(320, 64, 128, 0))]


def test_nothing_is_left_when_drawing_fails(tmp_path, monkeypatch):
    calls = iter([shapes._encode, shapes._encode])
    monkeypatch.setattr(shapes, "_encode", lambda image: next(calls)(image))
    with pytest.raises(StopIteration):
        make_shapes(tmp_path / "set", SMALL, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_not_touched(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("x")
    with pytest.raises(DataError, match="lacks parts"):
        make_shapes(tmp_path / "set", SMALL, tmp_path)
    assert (tmp_path / "set" / "mine.txt").read_text() == "x"


def test_labels_are_sound_and_of_every_class_and_of_useful_size():
    rows = np.concatenate([draw_image(np.random.default_rng(k), 96)[1] for k in range(80)])
    assert set(rows[:, 0]) == set(range(len(CLASSES)))
    low, high = rows[:, 1:3] - rows[:, 3:] / 2, rows[:, 1:3] + rows[:, 3:] / 2
    assert low.min() >= -1e-9 and high.max() <= 1 + 1e-9
    sides = rows[:, 3:].max(1)
    assert np.mean((sides > 0.2) & (sides < 0.7)) > 0.8


def test_boxes_fit_the_drawn_outline(monkeypatch):
    monkeypatch.setattr(shapes, "_background", lambda rng, size: np.zeros((size, size, 3), np.float32))
    monkeypatch.setattr(shapes, "_surface", lambda rng, size, covered: np.full((size, size, 3), 255, np.float32))
    monkeypatch.setattr(shapes, "_MOST_OBJECTS", 1)
    for seed in range(40):
        image, rows = draw_image(np.random.default_rng(seed), 100)
        ys, xs = np.where(image[..., 0] > 20)
        drawn = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / 100
        boxed = np.concatenate([rows[0, 1:3] - rows[0, 3:] / 2, rows[0, 1:3] + rows[0, 3:] / 2])
        np.testing.assert_allclose(boxed, drawn, atol=0.021)
