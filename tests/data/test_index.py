import logging
import os

import numpy as np
import pytest
from PIL import Image

from tests.data.samples import make_dataset, make_index, save_image
from tests.parity import PARITY, needs_parity
from yolo.data.audit.scan import scan
from yolo.data.cache import SUFFIX
from yolo.data.convert.records import Tally
from yolo.data.images import read_image
from yolo.data.index import index_split
from yolo.data.load import load_dataset
from yolo.errors import DataError


def test_images_labels_and_shapes_belong_together(tmp_path):
    index = make_index(tmp_path, ["0 .5 .5 .5 .5\n1 .1 .1 .1 .1", None, "", "1 .1 .1 .3 .1 .3 .3"])
    assert [path.name for path in index.paths] == ["0.png", "1.png", "2.png", "3.png"]
    assert [len(rows) for rows in index.labels] == [2, 0, 0, 1]
    assert [[len(segment) for segment in some] for some in index.segments] == [[0, 0], [], [], [3]]
    assert index.shapes.tolist() == [[48, 64], [64, 48], [50, 50], [48, 64]]
    assert (index.report.pictures, index.report.labels, index.report.without_labels) == (4, 3, 2)


def test_what_is_broken_is_reported_by_file_and_line_and_the_rest_is_kept(tmp_path, caplog):
    dataset = make_dataset(tmp_path, ["0 .5 .5 .5 .5\nrubbish\n0 .5 .5 .2 2\n", "0 .5 .5 .5 .5", None])
    (tmp_path / "images" / "train" / "1.png").write_bytes(b"broken")
    save_image(tmp_path / "images" / "train" / "small.png", (5, 5))
    (tmp_path / "labels" / "train" / "2.txt").mkdir()
    with caplog.at_level(logging.WARNING, "yolo.data"):
        index = index_split(dataset, "train", use_cache=False)
    assert [path.name for path in index.paths] == ["0.png", "2.png"]
    assert [len(rows) for rows in index.labels] == [1, 0]
    for part in ("0.txt:2: ", "0.txt:3: ", "1.png: ", "small.png: ", "2.txt: the label file cannot be read"):
        assert part in caplog.text
    assert len(index.report.corrupt) == 2 and len(index.report.problems) == 3


@pytest.mark.parametrize("workers", [1, 4])
def test_a_class_without_a_name_ends_it_with_file_line_and_counts(tmp_path, workers):
    dataset = make_dataset(tmp_path, ["0 .5 .5 .5 .5", "0 .5 .5 .5 .5\n2 .5 .5 .5 .5\n7 .5 .5 .5 .5"])
    for _ in range(2):  # the second time from the cache
        with pytest.raises(DataError) as caught:
            index_split(dataset, "train", workers=workers)
        line = str(caught.value)
        assert "1.txt:2: label class 2 is out of range" in line
        assert "2 classes (0 to 1)" in line and "1 more" in line and "\n" not in line
    index = index_split(dataset, "train", single_cls=True, workers=workers)
    assert np.concatenate(index.labels)[:, 0].tolist() == [0, 0, 0, 0] and index.names == ("item",)


def test_no_usable_image_is_an_error(tmp_path):
    dataset = make_dataset(tmp_path, [None])
    (tmp_path / "images" / "train" / "0.png").write_bytes(b"")
    with pytest.raises(DataError, match="no usable image"):
        index_split(dataset, "train")


def caches(folder):
    return list(folder.rglob(f"*{SUFFIX}"))


def test_the_cache_gives_the_same_index(tmp_path):
    dataset = make_dataset(tmp_path, ["0 .5 .5 .5 .5\nrubbish", None, "1 .1 .1 .3 .1 .3 .3\n0 .5 .5 .1 .1"])
    first = index_split(dataset, "train")
    assert caches(tmp_path) == [tmp_path / "labels" / f"train{SUFFIX}"]
    (tmp_path / "images" / "train" / "0.png").touch()
    os.utime(tmp_path / "images" / "train" / "0.png", ns=(1, 1))
    fresh = index_split(dataset, "train")
    for other in (index_split(dataset, "train"), index_split(dataset, "val"), fresh):
        assert list(other.paths) == list(first.paths) and other.report == first.report and other.names == first.names
        np.testing.assert_array_equal(other.shapes, first.shapes)
        for i in range(3):
            np.testing.assert_array_equal(other.labels[i], first.labels[i])
            assert len(other.segments[i]) == len(first.segments[i])
            for one, two in zip(other.segments[i], first.segments[i]):
                np.testing.assert_array_equal(one, two)


def test_the_cache_notices_every_change(tmp_path, monkeypatch):
    labels = tmp_path / "labels" / "train"

    def count():
        return [len(rows) for rows in index_split(dataset, "train").labels]

    dataset = make_dataset(tmp_path, ["0 .5 .5 .5 .5", None, "1 .5 .5 .5 .5"])
    assert count() == [1, 0, 1]
    (labels / "1.txt").write_text("0 .5 .5 .5 .5\n1 .5 .5 .5 .5\n")
    assert count() == [1, 2, 1]
    before = (labels / "0.txt").stat().st_mtime_ns
    (labels / "0.txt").write_text("x .5 .5 .5 .5")
    os.utime(labels / "0.txt", ns=(before + 1, before + 1))
    assert count() == [0, 2, 1]
    (labels / "2.txt").unlink()
    assert count() == [0, 2, 0]
    save_image(tmp_path / "images" / "train" / "3.png")
    assert count() == [0, 2, 0, 0]
    (tmp_path / "images" / "train" / "0.png").unlink()
    assert count() == [2, 0, 0]
    source = dataset.source
    source.write_text(source.read_text().replace("[a, b]", "[a]"))
    with pytest.raises(DataError, match="class 1 is out of range"):
        index_split(load_dataset(source), "train")


def test_the_cache_is_really_used(tmp_path, monkeypatch):
    dataset = make_dataset(tmp_path)
    index_split(dataset, "train")
    monkeypatch.setattr("yolo.data.index.check_image", lambda path: pytest.fail("checked again"))
    assert len(index_split(dataset, "train")) == 2


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped", "longer", "older", "folder"])
def test_a_broken_cache_is_made_anew(tmp_path, damage):
    dataset = make_dataset(tmp_path)
    expected = [rows.tolist() for rows in index_split(dataset, "train").labels]
    path = caches(tmp_path)[0]
    content = bytearray(path.read_bytes())
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage == "older":
        path = path.with_suffix(".oneflow-cache.npz")
        np.savez(path, key=np.array([{}], object))
        caches(tmp_path)[0].unlink()
    else:
        content[len(content) // 2] ^= 255
        flipped, half = bytes(content), bytes(content[: len(content) // 2])
        texts = {"empty": b"", "text": b"x" * 99, "cut": half, "flipped": flipped, "longer": flipped + b"\0"}
        path.write_bytes(texts[damage])
    assert [rows.tolist() for rows in index_split(dataset, "train").labels] == expected
    if damage == "older":
        assert not path.exists()


def test_a_read_only_folder_gets_no_cache(tmp_path):
    dataset = make_dataset(tmp_path)
    (tmp_path / "labels").chmod(0o555)
    try:
        assert len(index_split(dataset, "train")) == 2
        assert caches(tmp_path) == []
    finally:
        (tmp_path / "labels").chmod(0o755)


def test_a_data_set_without_any_label_file_needs_no_labels_folder(tmp_path):
    save_image(tmp_path / "images" / "train" / "0.png")
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [a]")
    index = index_split(load_dataset(tmp_path / "data.yaml"), "train")
    assert len(index) == 1 and index.report.without_labels == 1


def test_shapes_are_those_of_upright_images(tmp_path):
    dataset = make_dataset(tmp_path, [None])
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "images" / "train" / "1.jpg", exif=exif)
    assert index_split(dataset, "train").shapes.tolist() == [[48, 64], [60, 40]]


@needs_parity
def test_coco128_has_its_published_counts():
    dataset = load_dataset(PARITY / "data" / "coco128.yaml")
    index = index_split(dataset, "train", use_cache=False)
    assert (len(index), index.report.labels, len(index.report.corrupt)) == (128, 929, 0)
    assert len(index_split(load_dataset(PARITY / "data" / "bccd.yaml"), "val", use_cache=False)) == 72


def test_what_never_ends_is_not_read(tmp_path):
    """A pipe or a device among the images or labels had the command wait, or fill its memory, for ever."""
    dataset = make_dataset(tmp_path)
    images, labels = tmp_path / "images/train", tmp_path / "labels/train"
    save_image(images / "unlabelled.png")
    os.mkfifo(images / "pipe.png")
    (images / "device.png").symlink_to("/dev/zero")
    os.mkfifo(labels / "unlabelled.txt")
    os.mkfifo(tmp_path / "labels" / f"train{SUFFIX}")
    report = index_split(dataset, "train").report
    assert [line for line in report.corrupt if "the image cannot be read (it is not a file)" in line] == report.corrupt
    assert len(report.corrupt) == 2 and report.pictures == 3
    assert report.problems == [f"{labels / 'unlabelled.txt'}: the label file cannot be read (it is not a file)"]
    assert not any(
        seen.usable
        for seen in scan(dataset, "train", 1, Tally(), Tally())
        if seen.path.name in ("pipe.png", "device.png")
    )
    with pytest.raises(DataError, match="it is not a file"):
        read_image(images / "pipe.png")
