"""The page is whole, loads nothing, tells everything, and survives any name."""

from __future__ import annotations

import html.parser
import math
import re
from pathlib import Path

import numpy as np
import pytest

from tests.plots.test_figures import measured
from yolo.data.images import read_image, write_image
from yolo.engine.run_files import COLUMNS
from yolo.metrics import MetricAccumulator
from yolo.report.content import EpochRow, Layer, RunContent
from yolo.report.images import LONGEST_SIDE, described, embedded, images_of
from yolo.report.page import page, read_epochs
from yolo.report.sections import clock

EVIL = '<script>alert("x")</script>'
VOID = ("meta", "img", "input", "br")


class Page(html.parser.HTMLParser):
    """Elements, links and alternative texts; tags must be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.open, self.loaded, self.alts, self.ids, self.links = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.loaded += [given[name] for name in ("src", "srcset", "data", "poster") if name in given]
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        if tag == "img":
            self.alts.append(given.get("alt"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


def rows(count: int, missing: tuple[str, ...] = ()) -> list[EpochRow]:
    times = {"waiting": 1.0, "compiling": 0.5, "training": 7.0, "validating": 1.5, "pictures": 80}
    values = {name: math.nan if name in missing else 0.5 for name in COLUMNS[1:]}
    return [EpochRow(epoch, values, times) for epoch in range(count)]


def content(folder: Path, classes: int = 2, epochs: int = 3, **instead) -> RunContent:
    metrics, confusion = measured(classes)
    usual = dict(
        name="exp", state="finished", note="3 epochs.", epochs=3, rows=rows(epochs), best_epoch=1,
        names=tuple(f"class {number}" for number in range(classes)), metrics=metrics, confusion=confusion,
        speed_ms={"inference": 3.25}, command="python -m yolo.train --epochs 3",
        settings={"Options": [("epochs", 3, True), ("rect", False, False), ("freeze", (), False)]},
        facts=[("Machine", "a processor")], summary="YOLOv5n summary", images=images_of(folder),
        layers=[Layer(0, "image", "Conv", 16, 1760)],
    )  # fmt: skip
    return RunContent(**{**usual, **instead})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("labels.jpg", "train_batch1.jpg", "train_batch0.jpg", "val_batch0_pred.jpg", "val_batch0_labels.jpg"):
        write_image(tmp_path / name, np.full((40, 60, 3), 120, np.uint8))
    (tmp_path / "other.jpg").touch()
    return tmp_path


def test_nothing_is_loaded_from_anywhere(folder):
    text = page(content(folder))
    found = Page(text)
    assert len(found.loaded) == 5 and all(one.startswith("data:image/jpeg;base64,") for one in found.loaded)
    assert "link" not in found.tags and "http://" not in text and "https://" not in text and "@import" not in text
    assert re.findall(r"url\(", text) == []
    assert all(found.alts) and set(found.links) == {f"#{one}" for one in found.ids if one != "epochs"}


def test_it_says_what_there_is_to_say(folder):
    text = page(content(folder))
    words = ("exp", "finished", "Box loss", "mAP50-95", "class 1", "Confusion matrix", "waiting for data")
    for word in (
        *words,
        "<span>--epochs</span> <span>3</span>",
        "a processor",
        "YOLOv5n summary",
        "1,760",
        "3.2 ms inference",
    ):
        assert word in text, word
    assert "2 of 3" in text  # the best epoch
    assert text.count("10.0 %") == 1 and "<td>21.0 s</td><td>70.0 %</td>" in text  # waiting, training
    assert 'name="viewport"' in text and "prefers-color-scheme: dark" in text and "refresh" not in text
    assert "<div class=own><dt>epochs</dt><dd>3</dd>" in text and "<div><dt>rect</dt><dd>no</dd>" in text


def test_a_page_of_a_run_that_goes_on_renews_itself(folder):
    assert 'http-equiv="refresh"' in page(content(folder, state="training"))


def test_names_are_text_and_nothing_else(folder):
    names, settings = (EVIL, "b&c"), {EVIL: [(EVIL, EVIL, True)]}
    text = page(
        content(
            folder,
            names=names,
            name=EVIL,
            note=EVIL,
            command=EVIL,
            settings=settings,
            facts=[(EVIL, EVIL)],
            summary=EVIL,
            layers=[Layer(0, EVIL, EVIL, 1, 1)],
            speed_ms={EVIL: 1.0},
        )
    )
    assert Page(text).tags.count("script") == 1  # the epochs, as data
    assert EVIL not in text and "b&amp;c" in text


@pytest.mark.parametrize("classes", [1, 25, 80])
def test_any_number_of_classes(folder, classes):
    text = page(content(folder, classes))
    Page(text)
    assert ("The commonest mistakes" in text) == (classes > 40)
    assert (f"each of {len(measured(classes)[0].classes)} classes" in text) == (classes > 20)


def test_before_anything_was_validated(folder):
    missing = tuple(name for name in COLUMNS if name.startswith(("metrics", "val")))
    text = page(content(folder, rows=rows(1, missing), metrics=None, confusion=None, best_epoch=-1, images=[]))
    found = Page(text)
    assert "no values" in text and "classes" not in found.ids and "pictures" not in found.ids


def test_a_page_without_an_epoch(folder):
    Page(page(content(folder, rows=[], best_epoch=-1)))


def test_epochs_are_read_back(folder):
    given = rows(3, missing=("val/box_loss",))
    (folder / "report.html").write_text(page(content(folder, rows=given)))
    back = read_epochs(folder / "report.html")
    assert [one.epoch for one in back] == [0, 1, 2] and back[0].times == given[0].times
    assert math.isnan(back[1].values["val/box_loss"]) and back[1].values["x/lr0"] == 0.5


@pytest.mark.parametrize("text", [None, "", "<html>", '<script type="application/json" id="epochs">[{"epoch"'])
def test_another_file_has_no_epochs(tmp_path, text):
    if text is not None:
        (tmp_path / "report.html").write_text(text)
    assert read_epochs(tmp_path / "report.html") == []


def test_images_in_their_order(folder):
    write_image(folder / "confusion_matrix.png", np.zeros((8, 8, 3), np.uint8))
    names = ["labels.jpg", "train_batch0.jpg", "train_batch1.jpg", "val_batch0_labels.jpg", "val_batch0_pred.jpg"]
    assert [file.name for file in images_of(folder)] == names
    assert [file.name for file in images_of(folder, matrix=True)] == ["confusion_matrix.png", *names]
    assert described(Path("val_batch2_pred.jpg")) == "Validation batch 2: what the best checkpoint found"


def test_labels_and_what_was_found_are_a_pair(folder):
    first, second = page(content(folder)).split('<div class="pictures')[1:]
    assert first.startswith('" style="--columns:3">') and "Training batch 1" in first and "Validation" not in first
    assert second.startswith(' pairs" style="--columns:2">')
    assert second.index("batch 0: labels") < second.index("what the best checkpoint")


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (6, 3)])
def test_no_cell_of_the_images_is_empty(tmp_path, count, columns):
    """Rows are as full as they can be, and the images of one that is not grow."""
    for number in range(count):
        write_image(tmp_path / f"train_batch{number}.jpg", np.zeros((8, 8, 3), np.uint8))
    text = page(content(tmp_path))
    assert f'<div class="pictures" style="--columns:{columns}">' in text
    assert re.search(r"\.pictures figure \{ flex: 1 1 ", text) and ".pictures { display: flex; flex-wrap: wrap" in text
    assert count % columns in (0, columns - 1)


def test_large_images_are_made_smaller(tmp_path):
    import base64

    write_image(tmp_path / "big.png", np.full((500, 3000, 3), (200, 30, 30), np.uint8))
    data = embedded(tmp_path / "big.png").partition("base64,")[2]
    (tmp_path / "back.jpg").write_bytes(base64.b64decode(data))
    image = read_image(tmp_path / "back.jpg")
    assert image.shape == (213, LONGEST_SIDE, 3) and abs(image.mean((0, 1)) - (200, 30, 30)).max() < 4


@pytest.mark.parametrize(("seconds", "text"), [(1.25, "1.2 s"), (245, "4 min 05 s"), (11100, "3 h 05 min")])
def test_times(seconds, text):
    assert clock(seconds) == text


def test_a_precision_of_nothing_is_marked(folder):
    """Class 1's only detection is weaker than the confidence at which P and R are read."""
    accumulator = MetricAccumulator(2)
    boxes = [(0, 0, 10, 10), (20, 20, 30, 30), (40, 40, 50, 50)]
    labels = [(0, *boxes[0]), (0, *boxes[1]), (1, *boxes[2])]
    wrong = [(60, 60, 70, 70, 0.3, 0), (60, 60, 70, 70, 0.1, 1)]
    accumulator.update([(*boxes[0], 0.9, 0), (*boxes[1], 0.9, 0), *wrong], labels)
    metrics = accumulator.compute()
    assert metrics.undetected.tolist() == [False, True] and metrics.recall == 0.5 < 0.95 < metrics.precision
    text = page(content(folder, metrics=metrics))
    assert "* P counts 1 for 1 of 2 classes without a detection above confidence" in text
    assert text.count(f"{metrics.precision:.3f}*") == 2 and text.count("1.000*") == 1  # tile and all; class 1
    assert "P counts 1" not in page(content(folder))
