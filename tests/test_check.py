"""``yolo.check``: everything that can be wrong is found, named and, on request, mended in a copy."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.train.samples import Done, Workshop, make_data, run, write_yaml
from yolo.check import main
from yolo.config.commands import CheckConfig
from yolo.data import images
from yolo.data.audit.mend import mended_lines
from yolo.data.image_file import ImageFile
from yolo.data.index import index_split
from yolo.data.load import load_dataset
from yolo.errors import DataError

PROGRAM = "yolo.check"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A clean data set's YAML file."""
    return make_data(tmp_path / "data", train=8, val=4)


def check(data: Path, *flags: str) -> Done:
    return run(main, ["--data", str(data), *flags], data.parent)


def found(data: Path, *flags: str) -> tuple[int, Counter]:
    """The exit code, and how many findings of each kind and split there are."""
    done = check(data, "--json", *flags)
    result = json.loads(done.out)
    assert done.code == result["exit_code"]
    return done.code, Counter((finding["kind"], finding["split"]) for finding in result["findings"])


def label(data: Path, split: str, number: int) -> Path:
    return data.parent / f"labels/{split}/{number:03}.txt"


def image_path(data: Path, split: str, number: int) -> Path:
    return data.parent / f"images/{split}/{number:03}.png"


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.covers("check", "data", "json")
def test_a_clean_data_set(data: Path) -> None:
    assert found(data) == (0, Counter())
    done = check(data)
    assert done.code == 0 and done.out.endswith("no problems found\n")
    result = json.loads(check(data, "--json").out)
    train = result["statistics"]["train"]
    assert train["pictures"] == 8 and train["labels"] == 16 and train["classes"] == {"red": 8, "blue": 8}
    assert train["widths"] == [64] * 5 and train["aspects"] == [1] * 5 and len(train["box_sides"]) == 5
    assert result["command"] == "check" and result["fixed"] is None


def test_sizes_as_an_engineer_says_them(data: Path) -> None:
    for split in ("train", "val", "test"):
        for file in sorted((data.parent / "images" / split).iterdir())[1:]:
            file.unlink()
    out = check(data).out
    assert out.startswith(
        "train: 1 image (0 without labels), 2 labels\n  width: 64\n  height: 64\n  width / height: 1.00\n"
    )
    Image.fromarray(np.zeros((64, 90, 3), np.uint8)).save(data.parent / "images/train/wide.png")
    Image.fromarray(np.zeros((64, 80, 3), np.uint8)).save(data.parent / "images/train/less.png")
    lines = check(data).out.splitlines()
    assert lines[0] == "train: 3 images (2 without labels), 2 labels"
    assert lines[1:3] == ["  width: 64 to 90, median 80", "  height: 64"]
    assert lines[4].startswith("  box size at 640 (square root of its area): ")


def test_a_large_image_and_one_that_is_too_large(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training and validation take what detecting takes, and all call the rest the same."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow's own limit is the double
    assert found(data) == (0, Counter())
    large = Image.fromarray(np.zeros((64, 65, 3), np.uint8))
    large.save(image_path(data, "val", 0))
    monkeypatch.setattr(images, "MAX_PIXELS", 64 * 64)
    said = "an image of 65 x 64 pixels is too large, "
    result = json.loads(check(data, "--json").out)
    (finding,) = result["findings"]
    assert result["exit_code"] == 1 and finding["kind"] == "broken-picture" and finding["text"].startswith(said)
    report = index_split(load_dataset(data), "val", use_cache=False).report
    with pytest.raises(DataError) as caught:
        _ = ImageFile(image_path(data, "val", 0)).pixels
    assert report.corrupt == [str(caught.value)] and caught.value.what == finding["text"]


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_only_decoding_tells(data: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    """A header and an end that are right, and pixels that are not: the same words as in detecting."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(file, kind, lossless=True)
    content = bytearray(file.getvalue())
    if kind == "PNG":
        content[41:80] = bytes(39)  # within the first IDAT, which begins at 33
        (length,) = struct.unpack_from(">I", content, 33)
        struct.pack_into(">I", content, 41 + length, zlib.crc32(content[37 : 41 + length]))
    else:
        content[25:80] = b"\xff" * 55  # behind the size
    image_path(data, "val", 0).write_bytes(content)
    (finding,) = json.loads(check(data, "--json").out)["findings"]
    capfd.readouterr()  # libpng has a word of its own
    with pytest.raises(DataError) as caught:
        _ = ImageFile(image_path(data, "val", 0)).pixels
    assert (finding["kind"], finding["text"]) == ("broken-picture", caught.value.what)
    assert caught.value.what == "the image cannot be decoded"


def spoil(data: Path) -> None:
    """One of everything."""
    label(data, "train", 0).write_text(
        "0 .5 .5 .2 .2\n0 0.5 0.50 .2 .2\n1 1.05 .5 .3 .2\n0 1.5 .5 .1 .1\n0 .5 .5 0 .1\n0 .5 .5\n1 .5 .5 x .1\n"
        "0 .1 .1 1.1 .1 .5 .9\n0 .5 .5 .001 .3\n1 .5 .5 1 1\n"
    )
    image_path(data, "train", 1).write_bytes(b"broken")
    image_path(data, "train", 2).write_bytes(image_path(data, "train", 3).read_bytes())
    image_path(data, "train", 4).write_bytes(image_path(data, "val", 0).read_bytes())
    label(data, "train", 5).unlink()
    label(data, "train", 5).mkdir()
    label(data, "val", 7).write_text("0 .5 .5 .2 .2\n")
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(data.parent / "images/val/turned.jpg", exif=exif)


SPOILT = Counter(
    {
        ("duplicate-label", "train"): 1,
        ("label-outside", "train"): 3,
        ("label-without-area", "train"): 1,
        ("broken-label", "train"): 2,
        ("tiny-box", "train"): 1,
        ("huge-box", "train"): 1,
        ("broken-picture", "train"): 1,
        ("duplicate-picture", "train"): 1,
        ("labels-differ", "train"): 1,
        ("labels-differ", "val"): 1,
        ("picture-in-both", "val"): 1,
        ("unreadable-labels", "train"): 1,
        ("stray-labels", "val"): 1,
        ("turned-picture", "val"): 1,
    }
)


@pytest.mark.covers("check", "fix", "workers")
def test_everything_at_once_and_a_mended_copy(data: Path, tmp_path: Path) -> None:
    spoil(data)
    before = contents(data.parent)
    assert found(data, "--workers", "1") == (1, SPOILT)
    done = check(data, "--fix", str(tmp_path / "new"))
    assert done.code == 1 and done.out.endswith("\n13 warnings\n")
    assert f"a corrected copy: {tmp_path / 'new/data.yaml'}" in done.err
    for (kind, split), number in SPOILT.items():
        assert f": {kind} in {split} ({number})\n" in done.out
    assert contents(data.parent) == before
    code, left = found(tmp_path / "new/data.yaml")
    assert code == 0 and set(left) == {("tiny-box", "train"), ("huge-box", "train"), ("turned-picture", "val")}
    mended = load_dataset(tmp_path / "new/data.yaml")
    names = [path.stem for path in index_split(mended, "train").paths]
    assert names == ["000", "002", "005", "006", "007"]  # 1 is broken, 3 is 2 again, 4 is in val
    assert label(tmp_path / "new/data.yaml", "train", 0).read_text().splitlines() == [
        "0 .5 .5 .2 .2",
        "1 0.950000 0.500000 0.100000 0.200000",
        "0 0.100000 0.100000 1.000000 0.100000 0.500000 0.900000",
        "0 .5 .5 .001 .3",
        "1 .5 .5 1 1",
    ]


def test_a_copy_without_labels_takes_nobody_s_labels_away(data: Path, tmp_path: Path) -> None:
    """An unlabelled copy that sorts first, and one in val."""
    for copy, original in (("train/-copy.png", 0), ("val/999.png", 1)):
        shutil.copy(image_path(data, "train", original), data.parent / "images" / copy)
    code, kinds = found(data, "--fix", str(tmp_path / "new"))
    assert code == 1 and kinds["labels-differ", "train"] == kinds["labels-differ", "val"] == 1
    new = tmp_path / "new"
    assert (new / "labels/train/-copy.txt").read_text() == label(data, "train", 0).read_text() != ""
    assert (new / "labels/val/999.txt").read_text() == label(data, "train", 1).read_text()
    assert not (new / "images/train/000.png").exists() and not (new / "images/train/001.png").exists()


def test_hidden_folders_are_passed_over(data: Path) -> None:
    shutil.copytree(data.parent / "images/train", data.parent / "images/train/.ipynb_checkpoints")
    assert found(data) == (0, Counter())


def test_the_data_set_that_is_meant_without_one() -> None:
    assert CheckConfig().data == "coco128.yaml"


def test_images_of_the_copy_are_links_and_its_labels_are_not(data: Path, tmp_path: Path) -> None:
    assert check(data, "--fix", str(tmp_path / "new")).code == 0
    new = tmp_path / "new/data.yaml"
    assert image_path(new, "train", 0).stat().st_ino == image_path(data, "train", 0).stat().st_ino
    assert label(new, "train", 0).stat().st_ino != label(data, "train", 0).stat().st_ino
    for split in ("train", "val", "test"):
        old, copy = (index_split(load_dataset(file), split, use_cache=False) for file in (data, new))
        assert [path.name for path in old.paths] == [path.name for path in copy.paths]
        assert all(np.array_equal(*rows) for rows in zip(old.labels, copy.labels))


def test_what_cannot_be_trained_on(data: Path, tmp_path: Path) -> None:
    label(data, "train", 0).write_text("7 .5 .5 .2 .2\n0 .5 .5 .1 .1\n")
    assert found(data, "--fix", str(tmp_path / "new")) == (2, Counter({("unknown-class", "train"): 1}))
    assert label(tmp_path / "new/data.yaml", "train", 0).read_text() == "0 .5 .5 .1 .1\n"
    for number in range(4):
        image_path(data, "val", number).unlink()
        label(data, "train", number).unlink()
    code, kinds = found(data)
    assert code == 2 and kinds["empty-split", "val"] == 1
    (data.parent / "images/test/000.png").write_bytes(b"")
    for number in range(8):
        label(data, "train", number).unlink(missing_ok=True)
    code, kinds = found(data)
    assert kinds["no-labels", "train"] == 1 and kinds["broken-picture", "test"] == 1


def test_lists_that_name_what_is_not_there(data: Path) -> None:
    (data.parent / "list.txt").write_text("images/train/000.png\nimages/train/absent.png\n")
    write_yaml(data, {"path": str(data.parent), "train": "list.txt", "names": ["red", "blue", "green"]})
    code, kinds = found(data)
    assert code == 2 and kinds["missing-picture", "train"] == 1 and kinds["empty-split", "val"] == 1
    assert kinds["class-without-labels", "train"] == 1


def test_train_and_val_that_are_one(data: Path, tmp_path: Path) -> None:
    write_yaml(data, {"path": str(data.parent), "train": "images/val", "val": "images/val", "names": ["red", "blue"]})
    assert found(data, "--fix", str(tmp_path / "new")) == (0, Counter({("same-split", "val"): 1}))
    assert len(index_split(load_dataset(tmp_path / "new/data.yaml"), "train")) == 4


def test_class_balance_and_backgrounds(data: Path) -> None:
    rows = [f"0 {k / 1000:.4f} .5 .1 .1" for k in range(300, 500)]
    label(data, "train", 0).write_text("\n".join([*rows, "1 .5 .5 .2 .2"]))
    for number in range(1, 8):
        label(data, "train", number).write_text("")
    code, kinds = found(data)
    assert code == 0 and kinds == Counter({("rare-class", "train"): 1, ("backgrounds", "train"): 1})


@pytest.mark.covers("check", "imgsz")
def test_boxes_are_judged_at_the_training_size(data: Path) -> None:
    label(data, "train", 0).write_text("0 .5 .5 .01 .5\n")
    assert found(data, "--img", "640")[1] == Counter() and found(data, "--img", "64")[1]["tiny-box", "train"] == 1


@pytest.mark.parametrize("place", ["data/images/train", "data/images/train/new", "data/images", ".", "taken"])
def test_a_copy_is_never_made_in_place(data: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/mine").write_text("x")
    before = contents(tmp_path)
    done = check(data, "--json", "--fix", str(tmp_path / place))
    assert "new folder elsewhere" in done.refusal(PROGRAM) or "is not empty" in done.refusal(PROGRAM)
    assert contents(tmp_path) == before and json.loads(done.out)["exit_code"] == 2


def test_a_data_file_that_is_none(tmp_path: Path) -> None:
    assert check(tmp_path / "absent.yaml").refusal(PROGRAM).endswith("shapes, xView")
    (tmp_path / "bad.yaml").write_text("names: [")
    assert "not valid YAML" in check(tmp_path / "bad.yaml").refusal(PROGRAM)


def test_the_copy_trains(tmp_path: Path) -> None:
    shop = Workshop.make(tmp_path / "shop")
    spoil(shop.data)
    check(shop.data, "--fix", str(tmp_path / "new"))
    done = shop.train("run", "--noplots", data=str(tmp_path / "new/data.yaml"), epochs="1")
    assert done.code == 0 and "5 training images, 7 validation images" in done.err, done.err


@pytest.mark.parametrize("seed", range(20))
def test_mended_lines_are_always_right(seed: int) -> None:
    from yolo.data.labels import parse_labels

    rng = np.random.default_rng(seed)
    good, bad = ["0", "1", ".5", "0.5", "1.2", "-.1"], ["2", "-1", "nan", "1e9", "x", "\ufeff", "1_0", "\0", "٣"]
    words = [*good * 4, *bad]
    lines = [" ".join(rng.choice(words, rng.choice([1, 5, 5, 5, 7, 9]))) for _ in range(200)]
    mended = mended_lines("\r\n".join(lines).encode(), 2)
    again = parse_labels("\n".join(mended).encode(), 2)
    assert len(again.rows) == len(mended) > 0 and not again.problems and not again.out_of_range
