"""Which image an annotation means, where several have its name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.data.convert.small import LINE, coco, converted, voc
from tests.data.foreign import shaded_image
from yolo.data.convert.image_finder import OTHERS, SEVERAL, ImageFinder, Wanted
from yolo.data.convert.records import Tally
from yolo.errors import DataError

UNUSED = "image files that no annotation is used for"


def two(root: Path, first: str, second: str) -> None:
    """Red values 10 and 200."""
    shaded_image(root / first, 10)
    shaded_image(root / second, 200)


def test_the_image_nearest_to_its_json_is_meant(tmp_path: Path) -> None:
    source = tmp_path / "in"
    two(source, "task1/images/0.png", "task2/images/0.png")
    coco(source / "task2/annotations/instances_default.json", ["0.png"])
    result = converted("coco", source)
    assert result.shades == {"default/0.png": 200} and result.labels == {"default/0.png": [f"0 {LINE}"]}
    assert result.done.skipped == {UNUSED: 1}
    assert result.done.skipped.lines() == [f"1 {UNUSED} (task1/images/0.png)"]


def test_two_tasks_with_the_same_names_are_two_images_with_a_label_file_each(tmp_path: Path) -> None:
    source = tmp_path / "in"
    two(source, "task1/images/0.png", "task2/images/0.png")
    for task in (1, 2):
        coco(source / f"task{task}/annotations/instances_default.json", ["0.png"], [{"bbox": [0, 0, 50 * task, 50]}])
    result = converted("coco", source)
    assert result.shades == {"default/0.png": 10, "default/0-2.png": 200}
    assert result.labels["default/0.png"] == ["0 0.250000 0.500000 0.500000 1.000000"]
    assert result.labels["default/0-2.png"] == ["0 0.500000 0.500000 1.000000 1.000000"]
    assert not result.done.skipped


def test_labels_never_go_onto_the_image_of_another_annotation(tmp_path: Path) -> None:
    """The first task's image is not there: its name alone fits the second one's."""
    source = tmp_path / "in"
    shaded_image(source / "task2/images/0.png", 200)
    for task in (1, 2):
        coco(source / f"task{task}/annotations/instances_default.json", ["0.png"], [{"bbox": [0, 0, 50 * task, 50]}])
    result = converted("coco", source)
    assert result.labels == {"default/0.png": ["0 0.500000 0.500000 1.000000 1.000000"]}
    assert result.done.skipped == {OTHERS: 1}


def test_folders_in_a_name_are_respected(tmp_path: Path) -> None:
    source = tmp_path / "in"
    shaded_image(source / "images/cam2/0.png", 200)
    coco(source / "a.json", ["cam1/0.png", "cam2/0.png"], [{"image_id": 0}])
    result = converted("coco", source)
    assert result.labels == {"a/0.png": []} and result.done.skipped == {OTHERS: 1}


@pytest.mark.parametrize(
    "name", ["data/cam2/0.png", "data\\cam2\\0.png", "C:\\x\\cam2\\0.png", "../cam2/0", "cam2/0.png"]
)
@pytest.mark.parametrize("folder", ["images", "data", "data/images", "."])
def test_names_with_a_prefix_or_from_windows(tmp_path: Path, name: str, folder: str) -> None:
    source = tmp_path / "in"
    two(source, f"{folder}/cam1/0.png", f"{folder}/cam2/0.png")
    coco(source / "a.json", [name])
    assert converted("coco", source).shades == {"a/0.png": 200}


def test_a_name_that_two_images_have_equally_is_left_out_and_said(tmp_path: Path) -> None:
    source = tmp_path / "in"
    two(source, "cam1/0.png", "cam2/0.png")
    shaded_image(source / "1.png")
    coco(source / "a.json", ["0.png", "1.png"])
    result = converted("coco", source)
    assert list(result.labels) == ["a/1.png"] and result.done.skipped == {SEVERAL: 1, UNUSED: 2}
    assert f"1 {SEVERAL} (0.png)" in result.done.skipped.lines()
    coco(source / "a.json", ["0.png"])
    with pytest.raises(DataError, match=f"none of their images .1 {SEVERAL}"):
        converted("coco", source)


def test_copies_of_one_image_are_one(tmp_path: Path) -> None:
    source = tmp_path / "in"
    shaded_image(source / "one/0.png", 10)
    (source / "two").mkdir()
    shutil.copy(source / "one/0.png", source / "two/0.png")
    coco(source / "a.json", ["0.png"])
    assert converted("coco", source).labels == {"a/0.png": [f"0 {LINE}"]}


def test_two_files_may_name_one_image(tmp_path: Path) -> None:
    """As for several folds: the image goes to both splits."""
    source = tmp_path / "in"
    shaded_image(source / "images/0.png", 10)
    for fold in ("fold1", "fold2"):
        coco(source / f"annotations/{fold}.json", ["0.png"])
    result = converted("coco", source)
    assert sorted(result.labels) == ["fold1/0.png", "fold2/0.png"] and not result.done.skipped


def test_labels_of_an_image_that_occurs_twice_are_counted(tmp_path: Path) -> None:
    source = tmp_path / "in"
    shaded_image(source / "0.png")
    for folder in ("a", "b"):
        coco(source / folder / "x.json", ["0.png"], [{}, {"bbox": [0, 0, 9, 9]}])
    result = converted("coco", source)
    assert result.done.skipped == {"pictures occur twice": 1, "labels of pictures that occur twice": 2}


def test_voc_images_lie_as_their_xml_files_do(tmp_path: Path) -> None:
    source = tmp_path / "in"
    two(source, "JPEGImages/cam1/0.png", "JPEGImages/cam2/0.png")
    voc(source / "Annotations/cam2/0.xml")
    assert converted("voc", source).shades == {"train/0.png": 200}


@pytest.mark.parametrize(
    "head",
    [
        "<filename>cam2/0.png</filename>",
        "<filename>cam2\\0.png</filename>",
        "<folder>cam2</folder><filename>0.png</filename>",
        "<filename>0.png</filename><path>C:\\Users\\me\\cam2\\0.png</path>",
        "<folder>x</folder><path>/home/me/cam2/0.png</path>",
    ],
)
def test_voc_files_say_which_image(tmp_path: Path, head: str) -> None:
    source = tmp_path / "in"
    two(source, "JPEGImages/cam1/0.png", "JPEGImages/cam2/0.png")
    voc(source / "Annotations/0.xml", head)
    assert converted("voc", source).shades == {"train/0.png": 200}


def test_voc_without_a_word_is_ambiguous(tmp_path: Path) -> None:
    source = tmp_path / "in"
    two(source, "JPEGImages/cam1/0.png", "JPEGImages/cam2/0.png")
    voc(source / "Annotations/0.xml")
    with pytest.raises(DataError, match=SEVERAL):
        converted("voc", source)


def test_voc_both_annotated(tmp_path: Path) -> None:
    source = tmp_path / "in"
    two(source, "JPEGImages/cam1/0.png", "JPEGImages/cam2/0.png")
    for camera in (1, 2):
        voc(source / f"Annotations/cam{camera}/0.xml", f"<filename>cam{camera}/0.png</filename>")
    result = converted("voc", source)
    assert result.shades == {"train/0.png": 10, "train/0-2.png": 200} and not result.done.skipped
    assert all(lines == [f"0 {LINE}"] for lines in result.labels.values())


def test_an_xml_file_beside_its_image_means_that(tmp_path: Path) -> None:
    """Whatever its <path> once was: sets are split again without mending that."""
    source = tmp_path / "in"
    two(source, "train/0.png", "valid/0.png")
    for split in ("train", "valid"):
        voc(source / split / "0.xml", "<filename>0.png</filename><path>/home/me/train/0.png</path>")
    assert converted("voc", source).shades == {"train/0.png": 10, "val/0.png": 200}


def test_an_xml_file_that_names_another_image_is_said(tmp_path: Path) -> None:
    source = tmp_path / "in"
    two(source, "0.png", "1.png")
    voc(source / "0.xml", "<filename>1.png</filename>")
    result = converted("voc", source)
    assert result.shades == {"train/0.png": 10}
    assert [line for line in result.done.noticed.lines() if "<filename> is another image" in line and "0.xml" in line]


def test_names_with_backslashes_on_the_disk(tmp_path: Path) -> None:
    """As unpacking an archive from Windows leaves them."""
    source = tmp_path / "in"
    two(source, "cam1\\0.png", "cam2\\0.png")
    coco(source / "a.json", ["cam2/0.png"])
    assert converted("coco", source).shades == {"a/0.png": 200}


def test_a_table_goes_with_the_images_in_its_folder(tmp_path: Path) -> None:
    source = tmp_path / "in"
    two(source, "a/0.png", "b/0.png")
    for number, folder in enumerate(("a", "b")):
        line = f'.\\pics\\0.png,"[{number}, 0, 10, 10]",x\\y'
        (source / folder / "train.csv").write_text(f"image_id,bbox,source\n{line}\n")
    result = converted("globalwheat", source, ["wheat"])
    assert result.shades == {"x_y/0.png": 10, "x_y/0-2.png": 200} and not result.done.skipped
    assert [len(lines) for lines in result.labels.values()] == [1, 1]
    (source / "c").mkdir()
    for folder in ("a", "b"):
        (source / folder / "annotations_train.csv").write_text(".\\0.png,10,5,30,15,object,100,50\n")
    assert sorted(converted("sku110k", source, ["object"]).shades.values()) == [10, 200]


def test_no_image_is_none(tmp_path: Path) -> None:
    skipped = Tally()
    finder = ImageFinder(tmp_path)
    wanted = [Wanted((name,), tmp_path / "x.json") for name in ("", "/", "..", "a.png", "\0")]
    assert finder.find_all(wanted, skipped) == [None] * 5 and skipped == {"pictures are not there": 5}
