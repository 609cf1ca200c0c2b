"""VOC's lists of splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.convert.small import converted, voc
from tests.data.foreign import shaded_image, write
from yolo.errors import DataError

NO_XML = "entries of ImageSets/Main without an XML file"
NO_LIST = "XML files that no list in ImageSets/Main names"


def pages(root: Path, *names: str) -> None:
    for shade, name in enumerate(names):
        shaded_image(root / f"JPEGImages/{name}.png", shade)
        voc(root / f"Annotations/{name}.xml")


def lists(root: Path, **entries: str) -> None:
    for name, text in entries.items():
        write(root / f"ImageSets/Main/{name}.txt", text)


def test_names_with_spaces(tmp_path: Path) -> None:
    pages(tmp_path / "in", "img 1", "img 2", "img3")
    lists(tmp_path / "in", train="\ufeffimg 1\nimg3\n\n", val=" img 2 \r\n")
    result = converted("voc", tmp_path / "in")
    assert sorted(result.labels) == ["train/img 1.png", "train/img3.png", "val/img 2.png"] and not result.done.skipped


def test_what_lists_and_files_lack_is_counted(tmp_path: Path) -> None:
    pages(tmp_path / "in", "a", "b", "c")
    lists(tmp_path / "in", train="a\nx 1\ny\n", test="z\n")
    result = converted("voc", tmp_path / "in")
    assert list(result.labels) == ["train/a.png"]
    unused = "image files that no annotation is used for"
    assert result.done.skipped == {NO_XML: 3, NO_LIST: 2, unused: 2}
    assert f"3 {NO_XML} (train.txt: x 1, train.txt: y, test.txt: z)" in result.done.skipped.lines()
    assert f"2 {NO_LIST} (Annotations/b.xml, Annotations/c.xml)" in result.done.skipped.lines()


def test_flags_of_a_class_list_are_no_part_of_names(tmp_path: Path) -> None:
    pages(tmp_path / "in", "a", "b 1", "c")
    lists(tmp_path / "in", train="a  1\nb 1 -1\n", val="c 0\nb 1\n")
    assert sorted(converted("voc", tmp_path / "in").labels) == [
        "train/a.png",
        "train/b 1.png",
        "val/b 1.png",
        "val/c.png",
    ]


def test_an_entry_that_is_absent_is_not_the_one_whose_name_begins_it(tmp_path: Path) -> None:
    pages(tmp_path / "in", "img", "other")
    lists(tmp_path / "in", train="img 1\nother\n")
    assert list(converted("voc", tmp_path / "in").labels) == ["train/other.png"]


@pytest.mark.parametrize("entry", ["cam2/0", "cam2\\0", "cam2/0.png", "JPEGImages/cam2/0.png", "cam2/0.xml"])
def test_entries_with_folders_and_endings(tmp_path: Path, entry: str) -> None:
    pages(tmp_path / "in", "cam1/0", "cam2/0")
    lists(tmp_path / "in", train=entry)
    result = converted("voc", tmp_path / "in")
    assert result.shades == {"train/0.png": 1} and result.done.skipped[NO_LIST] == 1


def test_an_entry_that_two_files_may_be(tmp_path: Path) -> None:
    pages(tmp_path / "in", "cam1/0", "cam2/0", "1")
    lists(tmp_path / "in", train="0\n1\n")
    skipped = converted("voc", tmp_path / "in").done.skipped
    assert skipped["entries of ImageSets/Main that several XML files may mean"] == 1
    pages(tmp_path / "more", "cam1/0", "0")
    lists(tmp_path / "more", train="0\n")
    assert converted("voc", tmp_path / "more").shades == {"train/0.png": 1}


def test_trainval_is_for_training_where_nothing_divides_it(tmp_path: Path) -> None:
    pages(tmp_path / "VOC2007", "a", "b", "c")
    lists(tmp_path / "VOC2007", trainval="a\nb\n", test="c\n")
    result = converted("voc", tmp_path / "VOC2007")
    assert result.done.images == {"train": 2, "test": 1} and not result.done.skipped
    assert sorted(result.labels) == ["test2007/c.png", "trainval2007/a.png", "trainval2007/b.png"]


def test_folders_below_annotations_are_their_splits(tmp_path: Path) -> None:
    pages(tmp_path / "in", "val/a", "cam1/b")
    assert sorted(converted("voc", tmp_path / "in").labels) == ["train/b.png", "val/a.png"]


def test_only_absent_entries_is_an_error_that_says_so(tmp_path: Path) -> None:
    pages(tmp_path / "in", "a")
    lists(tmp_path / "in", train="x\n")
    with pytest.raises(DataError, match=f"1 {NO_XML}"):
        converted("voc", tmp_path / "in")
