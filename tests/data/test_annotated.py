"""COCO's JSON and VOC's XML files in a data set file: the same index as of what ``yolo.convert`` makes of them."""

from __future__ import annotations

import itertools
import json
import logging
import os
from pathlib import Path

import pytest

from tests.data import foreign
from tests.data.convert import small
from tests.data.convert.test_mutated import CHANGES
from tests.train.samples import run
from yolo.check import main as check
from yolo.convert import main as convert
from yolo.data.cache import SUFFIX
from yolo.data.convert.run import convert as conversion
from yolo.data.index import Index, index_split
from yolo.data.listing import list_images
from yolo.data.load import load_dataset
from yolo.errors import DataError

COCO = "train: annotations/instances_train2017.json\nval: annotations/instances_val2017.json\n"
VOC = "path: VOCdevkit/VOC2007\n" + "".join(f"{s}: ImageSets/Main/{s}.txt\n" for s in ("train", "val", "test"))


def direct(folder: Path, text: str, split: str = "train", **options: bool) -> Index:
    return index_split(load_dataset(foreign.write(folder / "direct.yaml", text)), split, **options)


def content(index: Index) -> dict[str, object]:
    """By image: size, rows and outlines."""
    outlines = [[some.tolist() for some in image] for image in index.segments]
    rows = [some.tolist() for some in index.labels]
    return {path.name: parts for path, *parts in zip(index.paths, index.shapes.tolist(), rows, outlines)}


@pytest.mark.parametrize("segments", [False, True])
@pytest.mark.parametrize(("kind", "text"), [("coco", COCO), ("voc", VOC)])
def test_the_index_is_that_of_the_converted_set(tmp_path: Path, kind: str, text: str, segments: bool) -> None:
    source = tmp_path / "in"
    foreign.MAKERS[kind](source)
    flags = ["--segments"] if segments else []
    arguments = ["--format", kind, "--source", str(source), "--output", str(tmp_path / "out"), *flags]
    assert run(convert, arguments, tmp_path / "out").code == 0
    converted = load_dataset(tmp_path / "out/data.yaml")
    text += f"segments: {str(segments).lower()}\n"
    dataset = load_dataset(foreign.write(source / "direct.yaml", text))
    assert dataset.names == converted.names and dataset.splits.keys() == converted.splits.keys()
    for split in dataset.splits:
        wanted = index_split(converted, split, use_cache=False)
        for _ in range(2):  # the second time from its file
            found = index_split(dataset, split)
            assert content(found) == content(wanted) and found.names == wanted.names
            assert all(path.is_relative_to(source) for path in found.paths)
            assert list_images(dataset, split) == list(found.paths.texts())
        assert found.report.labels == wanted.report.labels and not found.report.problems
    assert sorted(path.suffix for path in source.rglob("*") if "oneflow" in path.name) == [SUFFIX] * len(dataset.splits)
    assert not list(source.rglob("labels"))


def test_a_folder_of_xml_files(tmp_path: Path) -> None:
    foreign.voc(tmp_path)
    base = tmp_path / "VOCdevkit/VOC2007"
    lists = [name for split in ("train", "val", "test") for name in content(direct(tmp_path, VOC, split))]
    assert list(content(direct(tmp_path, f"path: {base}\ntrain: Annotations"))) == lists
    base.joinpath("JPEGImages").rename(tmp_path / "elsewhere")
    given = f"path: .\ntrain: {{annotations: {base}/Annotations, images: elsewhere}}"
    assert list(content(direct(tmp_path, given))) == lists


@pytest.mark.parametrize("split", ["train", "val"])
def test_what_is_left_out_is_said_as_by_convert(tmp_path: Path, split: str, caplog: pytest.LogCaptureFixture) -> None:
    """Of each split its own, so that together they are what the conversion of both counts."""
    foreign.coco(tmp_path / "in")
    broken = foreign.write(tmp_path / "in/images/train2017/1.jpg", "broken")
    done = conversion("coco", tmp_path / "in", tmp_path / "out", None, segments=True)
    with caplog.at_level(logging.WARNING, "yolo.data"):
        for _ in range(2):  # the second time from its file
            caplog.clear()
            index = direct(tmp_path / "in", COCO + "segments: true", split)
            said = [line.partition(": left out: ")[2] for line in caplog.messages if ": left out: " in line]
            assert said == index.report.left_out
    of_others = {"JSON files that are not read", "image files that no annotation is used for", "pictures are broken"}
    wanted = [line for line in done.skipped.lines() if not any(reason in line for reason in of_others)]
    assert index.report.left_out == (wanted if split == "train" else [])
    assert [str(broken) in line for line in index.report.corrupt] == [True] * (split == "train")


def test_every_change_is_noticed(tmp_path: Path) -> None:
    foreign.coco(tmp_path)
    path = tmp_path / "annotations/instances_train2017.json"

    def counts() -> list[int]:
        return direct(tmp_path, COCO + "names: [train, toothbrush]").labels.counts.tolist()

    assert counts() == [2, 1]
    told = json.loads(path.read_text())
    told["annotations"].append({"image_id": 2, "category_id": 90, "bbox": [1, 1, 50, 20]})
    path.write_text(json.dumps(told))
    assert counts() == [2, 2]
    (tmp_path / "images/train2017/1.jpg").unlink()
    assert counts() == [2]
    foreign.shaded_image(tmp_path / "images/train2017/4.jpg")  # it was named before it was there
    assert counts() == [2, 0]
    foreign.write(tmp_path / "images/train2017/2.jpg", "broken")
    assert counts() == [0]


def test_files_that_go_to_another_split_are_noticed(tmp_path: Path) -> None:
    for name in "abc":
        foreign.shaded_image(tmp_path / f"{name}.jpg")
        small.coco(tmp_path / f"{name}.json", [f"{name}.jpg"])

    def images(train: str, val: str) -> list[str]:
        text = f"train: [{train}]\nval: [{val}]\n"
        return ["".join(path.stem for path in direct(tmp_path, text, split).paths) for split in ("train", "val")]

    assert images("a.json, b.json", "c.json") == ["ab", "c"]
    assert images("a.json", "b.json, c.json") == ["a", "bc"]
    assert images("a.json, b.json", "a.json") == ["ab", "a"]  # one place for both


def test_a_changed_xml_file_is_noticed(tmp_path: Path) -> None:
    foreign.voc(tmp_path)
    text = VOC + "names: [cat, dog]\n"
    assert direct(tmp_path, text).labels.counts.tolist() == [2]
    base = tmp_path / "VOCdevkit/VOC2007"
    page = base / "Annotations/000001.xml"
    os.utime(page, ns=(5, 5))
    page.write_text(page.read_text().replace("<name>dog</name>", "<name>bird</name>"))
    index = direct(tmp_path, text)
    assert index.labels.counts.tolist() == [1]
    assert index.report.left_out == ["1 objects marked as difficult", "1 objects of other classes (bird)"]
    with open(base / "ImageSets/Main/train.txt", "a") as stream:
        stream.write("000003\n")
    assert direct(tmp_path, text).labels.counts.tolist() == [1, 0]


def two_files(folder: Path) -> None:
    """Category ids that the files have in different orders."""
    for split, names in (("train", "cat dog"), ("val", "dog cat")):
        foreign.shaded_image(folder / f"images/{split}/{split}.jpg")
        categories = [{"id": number, "name": name} for number, name in enumerate(names.split(), 1)]
        small.coco(folder / f"annotations/instances_{split}.json", [f"{split}.jpg"], categories=categories)


@pytest.mark.parametrize(
    ("names", "train", "val"),
    [("", 0, 1), ("[cat, dog]", 0, 1), ("[dog, cat]", 1, 0), ("[bird, dog, cat]", 2, 1), ("[Katze, Hund]", 0, 1)],
)
def test_classes_go_by_name(tmp_path: Path, names: str, train: int, val: int) -> None:
    """Whatever ids they have; other names take their places over all files, as by ``yolo.convert --names``."""
    two_files(tmp_path)
    text = "train: annotations/instances_train.json\nval: annotations/instances_val.json\n"
    text += f"names: {names}\n" if names else ""
    for split, number in (("train", train), ("val", val)):
        index = direct(tmp_path, text, split)
        assert index.labels[0][:, 0].tolist() == [number]
        assert direct(tmp_path, text, split, single_cls=True).labels[0][:, 0].tolist() == [0]
    assert names or index.names == ("cat", "dog")


@pytest.mark.parametrize(("kind", "text"), [("coco", COCO), ("voc", VOC)])
def test_annotations_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Their classes, too: a second start looks at no more than the files' sizes and times."""
    foreign.MAKERS[kind](tmp_path)
    found = {split: content(direct(tmp_path, text, split)) for split in ("train", "val")}
    with monkeypatch.context() as patch:
        for reader in (
            "yolo.data.convert.coco.read_json",
            "yolo.data.convert.voc._read",
            "yolo.data.annotated.check_image",
        ):
            patch.setattr(reader, lambda *given: pytest.fail("read again"))
        with caplog.at_level(logging.INFO, "yolo.data"):
            assert {split: content(direct(tmp_path, text, split)) for split in ("train", "val")} == found
        assert "direct.yaml has no 'names': the annotations' " in caplog.text
    for page in (*tmp_path.rglob("*.json"), *tmp_path.rglob("*.xml")):
        page.write_text(page.read_text().replace("toothbrush", "brush").replace("person", "human"))
    names = direct(tmp_path, text).names
    assert {"brush", "human"} & set(names) and not {"toothbrush", "person"} & set(names)


def test_several_files_make_a_split(tmp_path: Path) -> None:
    two_files(tmp_path)
    text = "train: [annotations/instances_train.json, annotations/instances_val.json]\nnames: [cat, dog]"
    assert [[path.name for path in index.paths] for index in [direct(tmp_path, text)]] == [["train.jpg", "val.jpg"]]


def test_images_in_a_folder_that_is_named(tmp_path: Path) -> None:
    foreign.shaded_image(tmp_path / "far/away/val/1.jpg")
    foreign.shaded_image(tmp_path / "far/other/val/1.jpg", 9)
    small.coco(tmp_path / "json/instances_train.json", ["1.jpg"])
    for folder in ("away", "other"):
        text = f"train: {{annotations: json/instances_train.json, images: far/{folder}/val}}"
        assert [path.parts[-3] for path in direct(tmp_path, text).paths] == [folder]
    with pytest.raises(DataError, match=r"none of their images below .*json .*1 pictures are not .*name their folder"):
        direct(tmp_path, "train: json/instances_train.json")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("train: x.json\nnames: [a, b]", "'names' lists 2 classes, its annotations have 1, such as 'cat'; leave"),
        ("train: x.json\nnc: 1", "'nc' without 'names'"),
        ("train: none.json", "none.json does not exist"),
        ("train: list.json", "a JSON list and no COCO JSON"),
        ("train: other.json", "no COCO JSON"),
        ("train: broken.json\nnames: [a]", "not valid JSON"),
        ("train: [x.json, images]\nnames: [a]", "annotations of several kinds"),
        ("train: [x.json, images]", "'names' is missing"),
        ("train: x.json\nval: ImageSets/Main/val.txt", "'names' is missing"),
        ("train: {annotations: x.json, images: nowhere}", "no such folder of images"),
        ("train: {annotations: x.json, folder: images}", "mapping of 'annotations' and 'images'"),
        ("train: {images: images}", "mapping of 'annotations' and 'images'"),
        ("train: {annotations: [x.json]}", "mapping of 'annotations' and 'images'"),
        ("train: {annotations: x.json, images: images}\nval: x.json", "'x.json' is named with two folders"),
        ("train: {annotations: x.json, images: images}\nval: {annotations: x.json, images: .}", "with two folders"),
        ("train: pipe.json", "it is not a file|Invalid argument"),
        ("train: voc/ImageSets/Main/pipe.txt\nnames: [a]", "it is not a file|Invalid argument"),
        ("train: x.json\nsegments: 1", "'segments' must be true or false"),
        ("train: ImageSets/Main/val.txt\nnames: [a]", "no XML file below it"),
        ("train: {annotations: images}\nnames: [a]", "no XML file below it"),
        ("train: empty.json", "the annotations name no class"),
        ("train: empty.json\nnames: [a]", "annotations but none of their images"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    foreign.shaded_image(tmp_path / "images/1.jpg")
    small.coco(tmp_path / "x.json", ["1.jpg"])
    small.coco(tmp_path / "empty.json", [], categories=[])
    for name, given in (("list", "[]"), ("other", "{}"), ("broken", "{")):
        foreign.write(tmp_path / f"{name}.json", given)
    foreign.write(tmp_path / "ImageSets/Main/val.txt", "1")
    foreign.write(tmp_path / "voc/Annotations/1.xml", "<annotation/>")
    (tmp_path / "voc/ImageSets/Main").mkdir(parents=True)
    for name in ("pipe.json", "voc/ImageSets/Main/pipe.txt"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=reason) as error:
        direct(tmp_path, text)
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)
    done = run(check, ["--data", str(tmp_path / "direct.yaml")], tmp_path / "none")
    assert done.code == 2 and "Traceback" not in done.err


def test_check_looks_at_what_training_would_read(tmp_path: Path) -> None:
    foreign.coco(tmp_path / "in")
    data = foreign.write(tmp_path / "in/direct.yaml", COCO)
    done = run(check, ["--data", str(data), "--json", "--fix", str(tmp_path / "new")], tmp_path / "new")
    result = json.loads(done.out)
    told = {(some["kind"], some["split"]): some for some in result["findings"]}
    assert done.code == 1 and told["left-out", "train"]["where"].endswith("instances_train2017.json")
    assert "image" in told["huge-box", "val"]["text"] and "(3.jpg)" in told["huge-box", "val"]["where"]
    assert result["statistics"]["train"]["labels"] == 3 and result["statistics"]["val"]["labels"] == 1
    mended = load_dataset(tmp_path / "new/data.yaml")
    for split in ("train", "val"):  # one image of train is one of val's, too
        kept, found = content(index_split(mended, split)), content(direct(tmp_path / "in", COCO, split))
        assert kept and kept == {name: found[name] for name in kept}


@pytest.mark.parametrize(
    ("kind", "text", "step"),
    [
        ("coco", COCO + "segments: true\n", 37),
        ("voc", VOC, 7),
        pytest.param("coco", COCO + "segments: true\n", 1, marks=pytest.mark.stress),
        pytest.param("voc", VOC, 1, marks=pytest.mark.stress),
    ],
)
def test_a_wrong_value_gives_what_the_conversion_gives_or_one_line(
    tmp_path: Path, kind: str, text: str, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yolo.io.files.os.fsync", lambda _: None)  # the disk is not what is tested
    foreign.MAKERS[kind](tmp_path / "in")
    data = foreign.write(tmp_path / "in/direct.yaml", text)
    suffix = ".json" if kind == "coco" else ".xml"
    file = next(path for path in sorted(tmp_path.rglob(f"*{suffix}")) if "keypoints" not in path.name)
    outcomes = set()
    for number, (what, changed) in enumerate(itertools.islice(CHANGES[suffix](file.read_text()), 0, None, step)):
        file.write_text(changed)
        try:
            dataset = load_dataset(data)
            found = sum(index_split(dataset, split, workers=1).report.labels for split in dataset.splits)
        except DataError as error:
            line, found = str(error), None
            assert len(line) < 1000 and "\n" not in line and str(tmp_path) in line, (what, line)
        if found is not None:
            done = conversion(kind, tmp_path / "in", tmp_path / f"out{number}", None, segments=True)
            assert found == done.labels, what
        outcomes.add(found is None)
    assert outcomes == {True, False}
