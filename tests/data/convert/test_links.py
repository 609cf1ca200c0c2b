"""Links and odd files in a source: followed, but nothing but an image comes along, and nothing that never ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data import foreign
from tests.data.convert.small import LINE, Result, coco, converted
from tests.data.foreign import shaded_image, write
from yolo.data.convert.outline import joined
from yolo.data.convert.records import Tally, shown
from yolo.data.convert.run import convert
from yolo.data.convert.walk import walk
from yolo.data.dataset import preset_names
from yolo.errors import DataError

COPIED = "images that links lead to outside of the source: copied"
NO_FILES = "names of images that are no files"


def linked(tmp_path: Path, name: str, target: Path, kind: Callable = coco) -> Result:
    """A source with one image of its own, 1.png, and the link ``name``; its JSON says the size of both."""
    source = tmp_path / "in"
    shaded_image(source / "images/1.png", 10)
    (source / name).parent.mkdir(parents=True, exist_ok=True)
    (source / name).symlink_to(target)
    kind(source / "a.json", ["1.png", "x.png"])
    return converted("coco", source)


def written(tmp_path: Path) -> list[Path]:
    return sorted(path for path in tmp_path.glob("out*/images/**/*") if path.is_file())


def test_an_image_elsewhere_is_copied_and_said(tmp_path: Path) -> None:
    """A hard link would be a second name of a file that nobody named: whoever writes to one writes to both."""
    outside = shaded_image(tmp_path / "disk/photo.png", 200)
    result = linked(tmp_path, "images/x.png", outside)
    assert result.shades == {"a/1.png": 10, "a/x.png": 200} and not result.done.skipped
    assert result.done.noticed.lines() == [f"1 {COPIED} (x.png)"]
    own, copy = written(tmp_path)
    assert own.stat().st_nlink == 2 and copy.stat().st_nlink == outside.stat().st_nlink == 1
    assert not copy.is_symlink() and copy.read_bytes() == outside.read_bytes()


def test_an_image_behind_a_link_within_the_source_is_one_of_its_own(tmp_path: Path) -> None:
    inside = shaded_image(tmp_path / "in/store/photo.png", 200)
    result = linked(tmp_path, "images/x.png", Path("../store/photo.png"))
    assert result.shades == {"a/1.png": 10, "a/x.png": 200} and not result.done.noticed
    assert inside.stat().st_nlink == 2 and not written(tmp_path)[1].is_symlink()


@pytest.mark.parametrize("content", ["secret", "BM secret", "\xff\xd8\xff secret", "\x89PNG\r\n\x1a\n secret", ""])
def test_what_is_no_image_never_comes_along(tmp_path: Path, content: str) -> None:
    secret = tmp_path / "home/key"
    secret.parent.mkdir()
    secret.write_bytes(content.encode("latin-1"))
    result = linked(tmp_path, "images/x.png", secret)
    assert list(result.labels) == ["a/1.png"] and result.done.skipped == {"pictures are broken": 1}
    assert len(written(tmp_path)) == secret.stat().st_nlink == 1 and not result.done.noticed


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    """A pipe is read for ever, and so is /dev/zero; a link may lead nowhere."""
    source = tmp_path / "in"
    shaded_image(source / "zero.png", 10)
    os.mkfifo(source / "pipe.png")
    os.mkfifo(source / "pipe.json")
    (source / "null.png").symlink_to("/dev/zero")
    (source / "gone.png").symlink_to("absent")
    (source / "device.json").symlink_to("/dev/zero")
    coco(source / "a.json", ["zero.png", "pipe.png", "null.png", "gone.png"])
    result = converted("coco", source)
    assert list(result.labels) == ["a/zero.png"]
    annotations = "names of annotation files that are no files"
    assert result.done.skipped == {"pictures are not there": 3, NO_FILES: 3, annotations: 2}
    assert f"3 {NO_FILES} (gone.png, null.png, pipe.png)" in result.done.skipped.lines()


def test_folders_on_another_disk_are_gone_through(tmp_path: Path) -> None:
    shaded_image(tmp_path / "disk/deep/x.png", 200)
    (tmp_path / "disk/deep/loop").symlink_to("..")
    coco(tmp_path / "notes/a.json", ["x.png"])
    (tmp_path / "in").mkdir()
    (tmp_path / "in/images").symlink_to(tmp_path / "disk")
    (tmp_path / "in/annotations").symlink_to(tmp_path / "notes")
    result = converted("coco", tmp_path / "in")
    assert result.labels == {"a/x.png": [f"0 {LINE}"]} and result.done.noticed == {COPIED: 1}
    assert not result.done.skipped


def test_a_folder_is_gone_through_once_under_its_plain_name(tmp_path: Path) -> None:
    source = tmp_path / "in"
    shaded_image(source / ".store/x.png", 200)
    shaded_image(source / "images/1.png", 10)
    shaded_image(tmp_path / "disk/2.png", 20)
    for name, target in (("a", "images"), ("b", ".store"), ("c", "../disk"), ("d", "../disk")):
        (source / name).symlink_to(target)
    coco(source / "set.json", ["1.png", "x.png", "2.png"])
    result = converted("coco", source)
    assert result.shades == {"set/1.png": 10, "set/2.png": 20, "set/x.png": 200} and not result.done.skipped
    places = [os.path.relpath(place, source) for place, *_ in walk(source, Tally())]
    assert places in ([".", ".store", "c", "images"], [".", ".store", "images", "c"])


def test_a_link_to_the_top_does_not_have_the_whole_disk_gone_through(tmp_path: Path) -> None:
    source = tmp_path / "here/in"
    shaded_image(source / "images/1.png")
    shaded_image(tmp_path / "here/other.png")
    for number, target in enumerate((Path("/"), tmp_path, source, source / "images")):
        (source / f"link{number}").symlink_to(target)
    skipped = Tally()
    assert [place for place, *_ in walk(source, skipped)] == [str(source), str(source / "images")]
    above = "links to folders that the source lies in"
    assert skipped.lines() == [f"3 {above} (link0, link1, link2)"]
    coco(source / "a.json", ["1.png", "other.png"])
    assert converted("coco", source).done.skipped == {above: 3, "pictures are not there": 1}


def test_a_name_that_is_no_text_is_left_out_and_said(tmp_path: Path) -> None:
    foreign.MAKERS["visdrone"](tmp_path / "in")
    folder = tmp_path / "in/VisDrone2019-DET-train"
    os.rename(os.fsencode(folder / "images/0001.jpg"), os.fsencode(folder / "images") + b"/\xff.jpg")
    os.rename(os.fsencode(folder / "annotations/0001.txt"), os.fsencode(folder / "annotations") + b"/\xff.txt")
    (tmp_path / "out").mkdir()
    done = convert("visdrone", tmp_path / "in", tmp_path / "out", preset_names("VisDrone"))
    assert done.images == {"val": 1} and done.skipped["pictures whose name is no Unicode text"] == 1


def test_class_names_are_text(tmp_path: Path) -> None:
    shaded_image(tmp_path / "in/x.png")
    coco(tmp_path / "in/a.json", ["x.png"], categories=[{"id": 1, "name": "\ud800"}])
    with pytest.raises(DataError, match=r"in: the class name \\ud800 is no Unicode text; give --names"):
        converted("coco", tmp_path / "in")
    assert converted("coco", tmp_path / "in", ["cat"]).done.labels == 1


def test_what_a_line_shows_of_a_name() -> None:
    assert shown("a b-é.png") == "a b-é.png" and shown(Path("a/b")) == "a/b"
    assert shown("a\x1b[2J\n\0\udcff") == "a\\x1b[2J\\n\\x00\\udcff"
    assert shown("x" * 1000) == "x" * 200 + "…"


def test_long_outlines_are_joined_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    square, far = [0, 0, 9, 0, 9, 9, 0, 9], [20, 9, 30, 9, 30, 0, 20, 0]
    whole = joined([square, far, square])
    monkeypatch.setattr("yolo.data.convert.outline._MOST_PAIRS", 1)
    assert joined([square, far, square]) == whole
    assert len(joined([[1e308, 0, -1e308, 0, 0, 1e308], square])) == 18


def test_many_names_alike_are_told_apart_at_once(tmp_path: Path) -> None:
    from yolo.data.convert.categories import _told_apart, renamed

    same = _told_apart(["a"] * 20_000)
    assert same[:3] == ("a", "a 2", "a 3") and same[-1] == "a 20000"
    assert _told_apart(["a", "a 2", "a", "a 2"]) == ("a", "a 2", "a 3", "a 2 2")
    assert renamed(same, same[::-1], tmp_path, Tally())[1] == list(range(20_000))[::-1]


def test_a_list_with_a_line_of_blanks_is_read_at_once(tmp_path: Path) -> None:
    foreign.voc(tmp_path / "in")
    file = tmp_path / "in/VOCdevkit/VOC2007/ImageSets/Main/train.txt"
    write(file, f"000001{' ' * 100_000}x\n000001\n")
    result = converted("voc", tmp_path / "in")
    assert result.done.skipped["entries of ImageSets/Main without an XML file"] == 1
