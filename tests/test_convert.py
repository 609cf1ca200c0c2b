"""``yolo.convert`` from every format: the labels, the splits, and what is refused."""

from __future__ import annotations

import json
import math
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.data import foreign
from tests.parity import PARITY, needs_parity
from tests.train.samples import Done, run
from tests.web import serve
from yolo.config import commands
from yolo.convert import main
from yolo.data.convert.outline import joined
from yolo.data.convert.places import XVIEW_TYPES
from yolo.data.convert.records import split_of
from yolo.data.convert.run import FORMATS, link_or_copy
from yolo.data.dataset import PRESETS, preset_names
from yolo.data.index import index_split
from yolo.data.listing import label_path
from yolo.data.load import load_dataset

PROGRAM = "yolo.convert"


def convert(kind: str, source: Path, output: Path, *flags: str) -> Done:
    return run(main, ["--format", kind, "--source", str(source), "--output", str(output), *flags], output)


def texts(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*.txt"))}


@pytest.mark.covers("convert", "format", "source", "output", "json")
@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_every_format(tmp_path: Path, kind: str) -> None:
    expected = foreign.MAKERS[kind](tmp_path / "in")
    before = {path: path.read_bytes() for path in (tmp_path / "in").rglob("*") if path.is_file()}
    done = convert(kind, tmp_path / "in", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    found = {name: text for name, text in texts(tmp_path / "out").items() if "autosplit" not in name}
    assert found == expected
    result = json.loads(done.out)
    dataset = load_dataset(result["data"])
    indices = [index_split(dataset, split, use_cache=False) for split in dataset.splits]
    assert sum(map(len, indices)) == sum(result["pictures"].values()) == sum("labels/" in name for name in expected)
    assert sum(index.report.labels for index in indices) == result["labels"]
    assert not any(index.report.problems or index.report.corrupt for index in indices)
    assert before == {path: path.read_bytes() for path in (tmp_path / "in").rglob("*") if path.is_file()}


def test_the_formats_in_the_help_are_those_there_are() -> None:
    assert sorted(commands.FORMATS) == sorted(FORMATS) == sorted(foreign.MAKERS)
    assert len(XVIEW_TYPES) == len(preset_names("xView")) == 60 and list(XVIEW_TYPES) == sorted(set(XVIEW_TYPES))
    assert len(preset_names("Objects365")) == 365


@pytest.mark.covers("convert", "segments")
def test_outlines_are_kept_on_request(tmp_path: Path) -> None:
    foreign.coco(tmp_path / "in")
    assert convert("coco", tmp_path / "in", tmp_path / "out", "--segments").code == 0
    box, outline = (tmp_path / "out/labels/train2017/1.txt").read_text().splitlines()
    assert box == "1 0.200000 0.200000 0.200000 0.200000"  # it has no outline
    points = np.array(outline.split()[1:], float).reshape(-1, 2) * (100, 50)
    near = [[10, 5], [30, 5], [30, 15], [60, 25], [80, 25], [80, 45], [60, 45], [60, 25], [30, 15]]
    np.testing.assert_allclose(points, near, atol=1e-3)


def test_joined_outlines_have_the_area_of_their_parts() -> None:
    rng = np.random.default_rng(0)
    squares = [np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * side + rng.uniform(0, 99, 2) for side in (3, 5, 7, 2)]
    points = np.array(joined([square.ravel() for square in squares])).reshape(-1, 2)
    x, y = points.T
    assert abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2) == pytest.approx(9 + 25 + 49 + 4)
    assert joined([]) == ()


@pytest.mark.covers("convert", "names")
def test_chosen_names(tmp_path: Path) -> None:
    foreign.voc(tmp_path / "in")
    done = convert("voc", tmp_path / "in", tmp_path / "out", "--names", "person", "dog")
    assert done.code == 0 and "left out: 1 objects of other classes" in done.err
    assert "left out: 1 objects marked as difficult" in done.err
    assert load_dataset(tmp_path / "out/data.yaml").names == ("person", "dog")
    assert texts(tmp_path / "out")["labels/train2007/000001.txt"].startswith("1 ")
    foreign.coco(tmp_path / "coco")
    line = convert("coco", tmp_path / "coco", tmp_path / "out2", "--names", "one").refusal(PROGRAM)
    assert "has 2 categories, not 1" in line and not (tmp_path / "out2").exists()


def test_files_of_an_annotation_service(tmp_path: Path) -> None:
    foreign.coco(tmp_path / "in")
    for split, name in (("train", "train2017"), ("valid", "val2017")):
        shutil.move(tmp_path / f"in/images/{name}", tmp_path / split)
        shutil.move(tmp_path / f"in/annotations/instances_{name}.json", tmp_path / split / "_annotations.coco.json")
    shutil.rmtree(tmp_path / "in")
    done = convert("coco", tmp_path, tmp_path / "out", "--json")
    assert json.loads(done.out)["pictures"] == {"train": 2, "val": 1}
    left_out = {"boxes without area in their picture": 1, "crowds": 1, "pictures are not there": 1}
    assert json.loads(done.out)["left_out"] == left_out


def coco_file(path: Path, images: list[dict], annotations: list[dict] = (), names: tuple[str, ...] = ("a",)) -> None:
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    content = {"images": images, "annotations": list(annotations), "categories": categories}
    foreign.write(path, json.dumps(content))


def test_images_of_one_name_stay_apart_and_sources_untouched(tmp_path: Path) -> None:
    """Two cameras with the same file names, written by many threads into hard links."""
    source, images, boxes = tmp_path / "in", [], []
    for number in range(60):
        for camera in range(2):
            name = f"cam{camera}/{number:04}.png"
            foreign.shaded_image(source / "images" / name, 2 * number + camera)
            images.append({"id": len(images), "file_name": name})
            boxes.append({"image_id": len(boxes), "category_id": 0, "bbox": [0, 0, 100, 50]})
    images.append({"id": len(images), "file_name": "cam0/0000.png"})  # again
    before = {path: path.read_bytes() for path in source.rglob("*.png")}
    coco_file(source / "set.json", images, boxes)
    done = convert("coco", source, tmp_path / "out", "--json")
    result = json.loads(done.out)
    assert (result["pictures"], result["labels"]) == ({"train": 120}, 120)
    assert result["left_out"] == {"pictures occur twice": 1}
    assert before == {path: path.read_bytes() for path in source.rglob("*.png")}
    written = sorted((tmp_path / "out").rglob("*.png"))
    assert sorted(path.read_bytes() for path in written) == sorted(before.values())
    assert all(label_path(path).read_text() == "0 0.500000 0.500000 1.000000 1.000000\n" for path in written)
    assert written[0].name == "0000-2.png" and written[0].read_bytes() == before[source / "images/cam1/0000.png"]


def test_what_is_at_a_place_is_never_written_over(tmp_path: Path) -> None:
    mine, other = foreign.write(tmp_path / "mine", "mine"), foreign.write(tmp_path / "other", "other")
    link_or_copy(mine, tmp_path / "place")
    with pytest.raises(FileExistsError):
        link_or_copy(other, tmp_path / "place")
    assert (tmp_path / "place").read_text() == mine.read_text() == "mine"


def test_images_that_differ_in_their_endings_have_label_files_of_their_own(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp"):
        foreign.shaded_image(tmp_path / "in" / name)
    coco_file(tmp_path / "in/x.json", [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "a.bmp"}])
    convert("coco", tmp_path / "in", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out/images/x").iterdir()) == ["a-2.bmp", "a.png"]


def test_an_image_of_another_split_or_folder_is_another_image(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for number, name in enumerate(("train/0001.png", "train/a.png", "train/sub/a.png", ".trash/b.png")):
        foreign.shaded_image(source / "images" / name, number)
    coco_file(source / "annotations/instances_val.json", [{"id": 1, "file_name": "0001.png"}])
    named = ["0001.png", "sub/a.png", "a.png", "b.png"]
    images = [{"id": number, "file_name": name, "width": 1.5} for number, name in enumerate(named)]
    box = {"image_id": 2, "category_id": 0, "bbox": [0, 0, 9, 9]}  # of the absent one: there is no more to say of it
    coco_file(source / "annotations/instances_train.json", images, [box, {**box, "image_id": 3}])
    done = convert("coco", source, tmp_path / "out", "--json")
    assert json.loads(done.out)["left_out"] == {"pictures are not there": 2}
    written = sorted((tmp_path / "out/images").rglob("*.png"))
    assert [path.name for path in written] == ["0001.png", "a-2.png", "a.png"]
    assert written[2].read_bytes() == (source / "images/train/sub/a.png").read_bytes()


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("val2017", "val"), ("instances_val", "val"), ("minival2014", "val"), ("valminusminival", "val"),
        ("valid", "val"), ("Validation", "val"), ("VisDrone2019-DET-test-dev", "test"), ("TestImages", "test"),
        ("testing", "test"), ("valset", "val"), ("labels_latest", "train"), ("festival", "train"),
        ("trainval", "train"), ("interval", "train"), ("x", "train"), ("", "train"),
    ],
)  # fmt: skip
def test_splits_are_whole_words(name: str, split: str) -> None:
    assert split_of(name) == split


def test_what_is_left_out_of_a_coco_file_is_counted(tmp_path: Path) -> None:
    foreign.shaded_image(tmp_path / "in/test/a.png")
    boxes = ([5, 5, 0, 5], [100, 5, 5, 5], [5, 5, 5, 5], [5, 5, 5, 5], [math.nan, 5, 5, 5], [5, 5, -5, 5], "x")
    annotations = [{"image_id": 1, "category_id": 0, "bbox": box} for box in boxes]
    annotations.append({"image_id": 9, "category_id": 0, "bbox": [5, 5, 5, 5]})
    image = {"id": 1, "file_name": "a.png", "width": 100.0}
    coco_file(tmp_path / "in/test/_annotations.coco.json", [image], annotations, ("a", "b", "a", "a 2"))
    done = convert("coco", tmp_path / "in", tmp_path / "out", "--json")
    assert "nothing is for training" in done.err
    result = json.loads(done.out)
    assert result["labels"] == 1 and result["names"] == ["a", "b", "a 2", "a 2 2"]
    assert result["left_out"] == {
        "annotations of pictures that the file does not name": 1,
        "annotations without a box or with an unknown category": 1,
        "boxes without area in their picture": 4,
        "labels that repeat another": 1,
    }
    assert load_dataset(result["data"]).names == ("a", "b", "a 2", "a 2 2")


def test_what_was_noticed_and_left_out_is_said_with_names(tmp_path: Path) -> None:
    for name, own, folder in (("a", ("cat", "dog"), "train"), ("b", ("dog", "cat"), "val")):
        foreign.shaded_image(tmp_path / f"in/{folder}/{name}.png")
        foreign.shaded_image(tmp_path / f"in/{folder}/more-{name}.png")
        box = {"image_id": 1, "category_id": 0, "bbox": [0, 0, 9, 9]}
        coco_file(tmp_path / f"in/{folder}/x.json", [{"id": 1, "file_name": f"{name}.png"}], [box], own)
    done = convert("coco", tmp_path / "in", tmp_path / "out", "--json")
    noticed, left_out = (
        "JSON files that number their categories differently",
        "image files that no annotation is used for",
    )
    result = json.loads(done.out)
    assert result["left_out"] == {left_out: 2} and list(result["noticed"].values()) == [2]
    assert f"noticed: 2 {noticed}: classes go by name (train/x.json, val/x.json)\n" in done.err
    assert f"left out: 2 {left_out} (train/more-a.png, val/more-b.png)\n" in done.err


@pytest.mark.parametrize(
    ("kind", "file", "content", "says"),
    [
        ("coco", "a.json", "{", "not valid JSON"),
        ("coco", "a.json", "[]", "no COCO JSON"),
        ("coco", "a.json", '{"images": [3], "annotations": [], "categories": []}', "an image without id"),
        ("coco", "a.json", '{"images": [], "annotations": [{}], "categories": []}', "an annotation without image_id"),
        ("coco", "a.json", '{"images": [], "annotations": [], "categories": [1]}', "a category without id"),
        ("coco", "a.json", '{"images": [], "annotations": [], "categories": []}', "none of their images"),
        ("voc", "a.xml", "<annotation>", "not a VOC annotation"),
        ("voc", "a.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "entities"),
        ("voc", "a.xml", "<a><object><bndbox><xmin>x</xmin></bndbox></object></a>", "not a VOC annotation"),
        ("visdrone", "a/annotations/a.txt", "1,2", "no folder with images"),
        ("globalwheat", "a.csv", "x,y\n1,2\n", r"a\.csv:2: no column image_id"),
        ("globalwheat", "a.csv", "image_name,BoxesString\na,1 2 3\n", "a box needs 4 values"),
        ("globalwheat", "a.csv", "image_id,bbox\na,x\n", "bbox is not a list"),
        ("globalwheat", "a.csv", "image_id,bbox\na,[[]]\n", r"a\.csv:2: .* are not numbers"),
        ("sku110k", "annotations_train.csv", "a.jpg,1\n", r"csv:1: needs 8 values"),
        ("xview", "a.geojson", "{}", "no list of features"),
        ("xview", "a.geojson", '{"features": [3, {"properties": {"bounds_imcoords": 3}}]}', "none of their images"),
        ("argoverse", "a.json", '{"seq_dirs": 3, "images": [{}], "annotations": []}', "an image of no sequence"),
        ("argoverse", "a.json", '{"seq_dirs": [], "images": 3, "annotations": []}', "no list of images"),
    ],
)
def test_broken_files_are_one_line(tmp_path: Path, kind: str, file: str, content: str, says: str) -> None:
    foreign.write(tmp_path / "in" / file, content)
    assert re.search(says, convert(kind, tmp_path / "in", tmp_path / "out").refusal(PROGRAM))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_places(tmp_path: Path) -> None:
    assert "no such folder" in convert("voc", tmp_path / "absent", tmp_path / "out").refusal(PROGRAM)
    assert "--output: no folder" in run(main, ["--source", str(tmp_path)], tmp_path).refusal(PROGRAM)
    assert "--source: nothing" in run(main, ["--output", str(tmp_path / "x")], tmp_path).refusal(PROGRAM)
    foreign.voc(tmp_path / "in")
    (tmp_path / "out").mkdir()
    foreign.write(tmp_path / "out/mine.txt", "x")
    line = convert("voc", tmp_path / "in", tmp_path / "out").refusal(PROGRAM)
    assert f"--output {tmp_path / 'out'}: is not empty; name a new folder" in line
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("kind", ["visdrone", "voc", "sku110k"])
def test_after_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A data set file that names the archive and its format."""
    monkeypatch.chdir(tmp_path)
    expected = foreign.MAKERS[kind](tmp_path / "in")
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        archive.add(tmp_path / "in", "wrapped")
    first = next(name for name in expected if "train" in name and "labels" in name)
    train = str(Path(first).parent).replace("labels", "images") if kind != "sku110k" else "train.txt"
    names = "[object]" if kind == "sku110k" else "[cat, dog, person, car]"
    with serve() as web:
        web.files["/set.tar"] = (tmp_path / "set.tar").read_bytes()
        lines = f"download: {web.address}/set.tar\nconvert: {{}}\npath: new\ntrain: {train}\nnames: {names}\n"
        bad = foreign.write(tmp_path / "bad.yaml", lines.format("unheard"))
        with pytest.raises(Exception, match="no format 'unheard'; there are argoverse, coco"):
            load_dataset(bad)
        dataset = load_dataset(foreign.write(tmp_path / "good.yaml", lines.format(kind)))
        assert len(web.asked) == 1  # what had come was kept for the second attempt
    assert texts(tmp_path / "datasets/new") == expected and index_split(dataset, "train").report.labels
    assert sorted(path.name for path in (tmp_path / "datasets").iterdir()) == ["new"]


@pytest.mark.parametrize("preset", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_presets_name_archives_or_say_what_to_do(preset: Path, tmp_path: Path, monkeypatch) -> None:
    from yolo.data import load as module
    from yolo.data.archives import parse_archives

    seen = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "fetch", lambda wanted, *_, **more: seen.append((wanted, more)))
    monkeypatch.setattr(module, "make_shapes", lambda *_: seen.append((None, {})))
    with pytest.raises(Exception, match="does not exist"):
        load_dataset(preset.stem)
    for wanted, more in seen:
        assert wanted is None or parse_archives(wanted, tmp_path, preset)
        assert more.get("kind") is None or more["kind"] in FORMATS
    assert seen or "yolo.convert" in preset.read_text()


@needs_parity
@pytest.mark.parity
def test_coco128_from_json_is_coco128_as_published(tmp_path: Path) -> None:
    source = tmp_path / "in"
    shutil.copytree(PARITY / "data/coco128/images", source / "images")
    for file in (PARITY / "data/coco128_json").rglob("*.json"):
        shutil.copy(file, source)
    done = convert("coco", source, tmp_path / "out", "--json")
    assert json.loads(done.out)["labels"] == 929 and json.loads(done.out)["left_out"] == {"crowds": 10}
    for image in (tmp_path / "out").rglob("*.jpg"):
        published = PARITY / "data/coco128/labels/train2017" / f"{image.stem}.txt"
        ours, theirs = (
            np.array(rows.read_text().split(), float).reshape(-1, 5) for rows in (label_path(image), published)
        )
        assert len(ours) == len(theirs)
        if len(ours):
            order = [rows[np.lexsort(np.round(rows, 4).T[::-1])] for rows in (ours, theirs)]
            np.testing.assert_allclose(*order, atol=2e-5)
