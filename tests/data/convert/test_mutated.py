"""Every field of every format with a value of every wrong kind: counted and named, or one clear line."""

from __future__ import annotations

import copy
import csv
import io
import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.data import foreign
from yolo.data.convert.run import FORMATS, convert
from yolo.data.dataset import preset_names
from yolo.errors import DataError

VALUES = (
    *(None, True, [], [1], {}, {"a": 1}, "", "x", "1", "x" * 5000, "\0", "\ud800", "\x1b[2J", "/", "../../x"),
    *(-1, 0, 1.5, 2**70, 10**400, 1e308, float("inf"), float("-inf"), float("nan"), [[[[]]]], [10**400] * 4),
    [True] * 4,
)
WORDS = (
    *(
        "",
        " ",
        "x",
        "-1",
        "0",
        "1.5",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "9" * 400,
        "true",
        "x" * 300,
        "[" * 3000,
        "é" * 300,
    ),
    *("../../x", "/", "a;b", "[1e5, " + "9" * 400 + ", 1, 1]", "[true, null, 1, 1]", "{}", "\0", "\x1b[2J"),
)
WITHOUT_OBJECTS = (
    "annotations = []",
    "without <object>",
    *(f"line 2, value {n}:" for n in (2, 4)),
    *(f"line {n}, value 1: Ellipsis" for n in (1, 2)),
)
"""Changes by which a file says that there is no object; in tables a blank cell or line."""
OF_THE_DATA = ("voc", "coco")
"""Formats whose class names are the data's."""


def json_files(text: str) -> Iterator[tuple[str, str]]:
    """What was changed, and the file with it: each field of the first record of each kind, or without it."""
    content = json.loads(text)
    for path in _paths(content):
        for value in VALUES:
            yield (
                f"{'.'.join(map(str, path))} = {str(value)[:20] if value != 10**400 else '10^400'}",
                json.dumps(_changed(content, path, value)),
            )
        if isinstance(path[-1], str):
            yield f"without {'.'.join(map(str, path))}", json.dumps(_changed(content, path, ...))


def _paths(content: Any, path: tuple = ()) -> Iterator[tuple]:
    pairs = (
        content.items() if isinstance(content, dict) else enumerate(content[:1]) if isinstance(content, list) else ()
    )
    for key, value in pairs:
        yield (*path, key)
        yield from _paths(value, (*path, key))


def _changed(content: Any, path: tuple, value: Any) -> Any:
    content = copy.deepcopy(content)
    at = content
    for key in path[:-1]:
        at = at[key]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return content


def xml_files(text: str) -> Iterator[tuple[str, str]]:
    for number, element in enumerate(ElementTree.fromstring(text).iter()):
        for word in WORDS:
            root = ElementTree.fromstring(text)
            one = next(itertools.islice(root.iter(), number, None))
            one.text = word.translate({0: None, 27: None})
            yield f"<{element.tag}> {word[:20]}", ElementTree.tostring(root, encoding="unicode")
        root = ElementTree.fromstring(text)
        next(itertools.islice(root.iter(), number, None)).tag = "other"
        yield f"without <{element.tag}>", ElementTree.tostring(root, encoding="unicode")


def table_files(text: str) -> Iterator[tuple[str, str]]:
    """Each cell of the first line and of the second."""
    rows = list(csv.reader(io.StringIO(text)))
    for row, column in [(number, column) for number in range(min(len(rows), 2)) for column in range(len(rows[number]))]:
        for word in (*WORDS, ...):
            changed = copy.deepcopy(rows)
            if word is ...:
                del changed[row][column:]
            else:
                changed[row][column] = word.replace("\0", "NUL")
            output = io.StringIO()
            csv.writer(output).writerows(changed)
            text = output.getvalue().replace("NUL", "\0")  # which the writer takes no more than XML does
            yield f"line {row + 1}, value {column + 1}: {str(word)[:20]}", text


CHANGES = {".json": json_files, ".geojson": json_files, ".xml": xml_files, ".csv": table_files, ".txt": table_files}


def outcome(kind: str, folder: Path) -> tuple[int, dict[str, int]]:
    """Labels that were written, and everything counted; what was written is a data set without a fault."""
    target = Path(tempfile.mkdtemp(dir=folder))
    names = None if kind in OF_THE_DATA else preset_names(FORMATS[kind][1])
    done = convert(kind, folder / "in", target, names, segments=kind == "coco")
    for line in (*done.skipped.lines(), *done.noticed.lines()):
        assert line.isprintable() and len(line) < 1000, line
    for file in target.rglob("*.txt"):
        for line in file.read_text().splitlines() if "labels" in file.parts else ():
            number, *box = line.split()
            assert 0 <= int(number) < len(done.names) and all(0 <= float(value) <= 1 for value in box)
    return done.labels, {**done.skipped, **done.noticed}


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo.data.convert.run._WORKERS", 1)
    monkeypatch.setattr("yolo.io.files.os.fsync", lambda _: None)  # the disk is not what is tested


@pytest.mark.usefixtures("no_threads")
@pytest.mark.parametrize(
    ("kind", "step"),
    [(kind, 11) for kind in sorted(FORMATS) if kind != "objects365"]  # which is read as coco is, with more classes
    + [pytest.param(kind, 1, marks=pytest.mark.stress) for kind in sorted(FORMATS)],
)
def test_a_wrong_value_is_counted_or_refused_in_one_line(tmp_path: Path, kind: str, step: int) -> None:
    """``step``: every so many changes; over the fields that is each value, since their number does not divide by it."""
    source = tmp_path / "good/in"
    foreign.MAKERS[kind](source)
    if kind == "coco":
        _add_outlines(source / "annotations")
    labels, counted = outcome(kind, tmp_path / "good")
    files = [path for path in sorted(source.rglob("*")) if path.suffix in CHANGES and path.stat().st_size]
    alike = {path.suffix: path for path in reversed(files) if path.suffix in (".xml", ".txt")}
    files = [path for path in files if alike.get(path.suffix, path) == path and "keypoints" not in path.name]
    assert files
    tried = 0
    for file in files:
        original = file.read_text()
        for what, text in itertools.islice(CHANGES[file.suffix](original), 0, None, step):
            tried += 1
            file.write_text(text)
            try:
                found = outcome(kind, tmp_path / "good")
            except DataError as error:
                line = str(error)
                assert len(line) < 1000 and "\n" not in line, (what, line)
                assert str(tmp_path) in line, (what, line)
            else:
                assert found[0] >= labels or found[1] != counted or what.rstrip("\0 ") in WITHOUT_OBJECTS, (what, found)
        file.write_text(original)
    assert tried > 10 and outcome(kind, tmp_path / "good") == (labels, counted)


def _add_outlines(folder: Path) -> None:
    """Polygons to the first object of one file, a mask to that of the other."""
    square = [[10, 5, 30, 5, 30, 15, 10, 15], [60, 25, 80, 25, 80, 45, 60, 45]]
    mask = {"size": [50, 100], "counts": [500, 10, 40, 10, 4440]}
    for split, outline in (("train2017", square), ("val2017", mask)):
        file = folder / f"instances_{split}.json"
        content = json.loads(file.read_text())
        content["annotations"][0]["segmentation"] = outline
        file.write_text(json.dumps(content))
