"""COCO's JSON files: categories of several files, and what is left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.convert.small import LINE, coco, converted
from tests.data.foreign import shaded_image, write
from yolo.errors import DataError

CLASH = "JSON files that number their categories differently: classes go by name"


def categories(**numbers: int) -> list[dict]:
    return [{"id": number, "name": name} for name, number in numbers.items()]


def splits(root: Path, train: list[dict], valid: list[dict]) -> None:
    """An image in each, with an object of category 1."""
    for split, some in (("train", train), ("valid", valid)):
        shaded_image(root / split / f"{split}.png")
        coco(root / split / "_annotations.coco.json", [f"{split}.png"], categories=some)


def classes(root: Path, names: list[str] | None = None) -> tuple[dict[str, str], object]:
    """What the object in each file is called."""
    result = converted("coco", root, names)
    return {name: result.done.names[int(lines[0].split()[0])] for name, lines in result.labels.items()}, result.done


def test_ids_belong_to_their_file(tmp_path: Path) -> None:
    splits(tmp_path / "in", categories(cat=1, dog=2), categories(dog=1, cat=2))
    named, done = classes(tmp_path / "in")
    assert named == {"train/train.png": "cat", "valid/valid.png": "dog"} and done.names == ("cat", "dog")
    assert done.noticed == {CLASH: 2} and "train/_annotations.coco.json" in done.noticed.lines()[0]


def test_a_name_with_two_ids_is_one_class(tmp_path: Path) -> None:
    splits(tmp_path / "in", categories(cat=1), categories(dog=1, cat=5))
    assert classes(tmp_path / "in")[0] == {"train/train.png": "cat", "valid/valid.png": "dog"}


def test_files_that_agree_keep_the_order_of_ids(tmp_path: Path) -> None:
    splits(tmp_path / "in", categories(zebra=1, cat=9), categories(zebra=1, dog=3))
    named, done = classes(tmp_path / "in")
    assert set(named.values()) == {"zebra"} and done.names == ("zebra", "dog", "cat") and not done.noticed


def test_names_that_the_data_has_are_an_order(tmp_path: Path) -> None:
    splits(tmp_path / "in", categories(cat=1, dog=2), categories(cat=1, dog=2))
    named, done = classes(tmp_path / "in", ["dog", "cat"])
    assert set(named.values()) == {"cat"} and done.names == ("dog", "cat") and not done.noticed


def test_names_that_the_data_has_not_are_new_names(tmp_path: Path) -> None:
    splits(tmp_path / "in", categories(cat=1, dog=2), categories(cat=1, dog=2))
    named, done = classes(tmp_path / "in", ["dog", "wolf"])
    assert set(named.values()) == {"dog"}  # as asked
    assert done.noticed.lines() == ["1 class names asked for that the data has for other classes (dog)"]


def test_a_name_asked_for_twice_is_refused(tmp_path: Path) -> None:
    splits(tmp_path / "in", categories(cat=1, dog=2), categories(cat=1, dog=2))
    with pytest.raises(DataError, match="a class name is there twice"):
        classes(tmp_path / "in", ["cat", "cat"])


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            {"categories": [*categories(cat=1), *categories(dog=1)]},
            "the categories 'cat' and 'dog' have one id",
        ),
        ({"images": [{"id": 1, "file_name": name} for name in ("a", "b")]}, "the images a and b have one id"),
    ],
)
def test_one_id_for_two_things_is_refused(tmp_path: Path, more: dict, says: str) -> None:
    shaded_image(tmp_path / "in/0.png")
    coco(tmp_path / "in/a.json", ["0.png"], **more)
    with pytest.raises(DataError, match=f"a.json: {says}"):
        converted("coco", tmp_path / "in")


def test_json_files_that_are_not_read_are_named(tmp_path: Path) -> None:
    shaded_image(tmp_path / "in/0.png")
    coco(tmp_path / "in/instances_train.json", ["0.png"])
    coco(tmp_path / "in/captions_train.json", ["0.png"])
    tasks = [{"id": 1, "annotations": [], "data": {"image": "/data/upload/0.png"}}]
    write(tmp_path / "in/project-1.json", json.dumps(tasks, indent=1))
    write(tmp_path / "in/._instances_train.json", "\0")
    assert converted("coco", tmp_path / "in").done.skipped.lines() == [
        "1 JSON files of Label Studio's own form, which are not read: export them as COCO (project-1.json)",
        "1 JSON files that are not read (captions_train.json)",
        "1 hidden files (._instances_train.json)",
    ]
    (tmp_path / "in/instances_train.json").rename(tmp_path / "in/result.json")
    (tmp_path / "in/captions_train.json").unlink()
    assert "project-1.json" in converted("coco", tmp_path / "in").done.skipped.lines()[0]
    (tmp_path / "in/result.json").unlink()
    with pytest.raises(DataError, match=r"only Label Studio's own \(.*project-1.json\)"):
        converted("coco", tmp_path / "in")


@pytest.mark.parametrize(
    "some", [{"category_id": [1]}, {"category_id": {}}, {"bbox": [10**400, 1, 2, 3]}, {"bbox": [1, 2, 3]}]
)
def test_an_annotation_that_makes_no_sense_is_counted(tmp_path: Path, some: dict) -> None:
    shaded_image(tmp_path / "in/0.png")
    coco(tmp_path / "in/a.json", ["0.png"], [some, {}])
    result = converted("coco", tmp_path / "in")
    assert result.labels == {"a/0.png": [f"0 {LINE}"]}
    assert result.done.skipped == {"annotations without a box or with an unknown category": 1}


def test_a_size_that_makes_no_sense_is_the_images_own(tmp_path: Path) -> None:
    shaded_image(tmp_path / "in/0.png")
    coco(tmp_path / "in/a.json", [], [{}], images=[{"id": 0, "file_name": "0.png", "width": 10**400, "height": 5}])
    assert converted("coco", tmp_path / "in").labels == {"a/0.png": [f"0 {LINE}"]}


def test_a_file_that_is_no_image_is_left_out_whatever_the_json_says(tmp_path: Path) -> None:
    shaded_image(tmp_path / "in/0.png")
    write(tmp_path / "in/1.png", "no image")
    coco(tmp_path / "in/a.json", ["0.png", "1.png"])
    result = converted("coco", tmp_path / "in")
    assert list(result.labels) == ["a/0.png"] and result.done.skipped.lines() == ["1 pictures are broken (1.png)"]


def test_a_name_without_its_ending(tmp_path: Path) -> None:
    shaded_image(tmp_path / "in/0.png")
    coco(tmp_path / "in/a.json", ["0"])
    assert converted("coco", tmp_path / "in").labels == {"a/0.png": [f"0 {LINE}"]}
