"""Formats that are tables: VisDrone, Global Wheat and SKU-110K."""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from yolo.data.convert.image_finder import ImageFinder, Wanted, plain_name
from yolo.data.convert.records import Conversion, Label, Labelled, Tally, box_of, count, need, split_of
from yolo.data.convert.walk import files_below, folders_below
from yolo.errors import DataError
from yolo.io.brief import brief

_VISDRONE_CLASSES = 10
_WHEAT_SPLITS = {"utokyo_1": "test", "utokyo_2": "test", "nau_1": "test", "uq_1": "test", "ethz_1": "val"}


def visdrone(source: Path, names: Sequence[str], segments: bool = False) -> Conversion:
    """Folders ``VisDrone2019-DET-*`` with ``images`` and ``annotations``; the folders stay as they are.

    A line is ``left, top, width, height, score, category, truncation, occlusion``: objects with score 0 and categories
    outside 1..10 are regions to be ignored and left out.
    """
    skipped = Tally()
    folders = []
    for path in folders_below(source, "annotations", skipped):
        if (path.parent / "images").is_dir():
            folders.append(path)
        else:
            count(skipped, "annotations without a folder images beside them", 1, path.relative_to(source))
    need(folders, "no folder with images and annotations below it", source)

    def labelled() -> Iterator[Labelled]:
        for folder in folders:
            base = folder.parent
            files = [path for path in files_below(folder, "*.txt", skipped) if path.parent == folder]
            wanted = [Wanted((path.stem,), path) for path in files]
            for path, file in zip(files, ImageFinder(base / "images").find_all(wanted, skipped)):
                if file is not None:
                    place = PurePosixPath(base.name, "images", plain_name(file))
                    yield Labelled(file, place, split_of(base.name), _drone_labels(path, len(names), skipped))

    return Conversion(names, labelled(), skipped)


def _drone_labels(path: Path, classes: int, skipped: Tally) -> tuple[Label, ...]:
    labels = []
    for line, row in _rows(path):
        values = _numbers(row[:6], path, line)
        need(len(values) == 6, "needs at least 6 values", f"{path}:{line}")
        if values[4] == 0 or values[5] in (0, _VISDRONE_CLASSES + 1):
            count(skipped, "regions to be ignored")
        elif values[5] not in range(1, _VISDRONE_CLASSES + 1):
            count(skipped, "objects of an unknown category", 1, f"{path.name}:{line}")
        elif values[5] > classes:
            count(skipped, "objects of other classes")
        else:
            labels.append(Label(int(values[5]) - 1, box_of(*values[:4])))
    return tuple(labels)


def globalwheat(source: Path, names: Sequence[str], segments: bool = False) -> Conversion:
    """CSV files with ``image_id, bbox`` (``[x, y, width, height]``, a line a box) or ``image_name, BoxesString``
    (``x1 y1 x2 y2;…`` or ``no_box``); images go to ``images/<their folder or source>``."""
    skipped = Tally()
    boxes: dict[tuple[str, str, Path], list] = defaultdict(list)
    for path in files_below(source, "*.csv", skipped):
        for line, row in _records(path):
            name = row.get("image_id") or row.get("image_name")
            need(name, "no column image_id or image_name", f"{path}:{line}")
            if row.get("bbox") is None and row.get("BoxesString") is None:  # a list to fill in, say
                count(skipped, "CSV lines without a column bbox or BoxesString", 1, path.relative_to(source))
                continue
            domain = (row.get("source") or row.get("domain") or "").strip() or path.stem
            # names are their folder's: files in other folders may have the same ones
            boxes[name, domain, path.parent] += _wheat_boxes(row, path, line)
    need(boxes, "no CSV file with boxes below it", source)

    def labelled() -> Iterator[Labelled]:
        wanted = [Wanted((name,), folder / "x.csv") for name, _, folder in boxes]
        for (_, domain, _), some, file in zip(boxes, boxes.values(), ImageFinder(source).find_all(wanted, skipped)):
            if file is not None:
                place = PurePosixPath("images", domain.replace("\\", "/").replace("/", "_"), plain_name(file))
                yield Labelled(file, place, _WHEAT_SPLITS.get(domain, "train"), tuple(Label(0, box) for box in some))

    return Conversion(names, labelled(), skipped)


def _wheat_boxes(row: dict[str, str], path: Path, line: int) -> list[tuple[float, float, float, float]]:
    if row.get("BoxesString") is not None:
        text = row["BoxesString"].strip()
        parts = [] if text in ("", "no_box") else text.split(";")
        corners = [_numbers(part.split(), path, line) for part in parts if part.strip()]
    else:
        try:
            values = json.loads(row.get("bbox") or "[]")
        except (ValueError, RecursionError):
            values = None
        need(isinstance(values, list), "bbox is not a list", f"{path}:{line}")
        corners = [_numbers(values, path, line)] if values else []
        need(all(len(box) == 4 for box in corners), "a box needs 4 values", f"{path}:{line}")
        corners = [box_of(*box) for box in corners]
    need(all(len(box) == 4 for box in corners), "a box needs 4 values", f"{path}:{line}")
    return [tuple(box) for box in corners]


def sku110k(source: Path, names: Sequence[str], segments: bool = False) -> Conversion:
    """``annotations_{train,val,test}.csv``: ``image, x1, y1, x2, y2, class, width, height``; lists name the splits."""
    skipped = Tally()
    every = files_below(source, "*.csv", skipped)
    files = [path for path in every if path.name.startswith("annotations_")]
    need(files, "no annotations_train.csv below it", source)
    others = [path.relative_to(source) for path in every if path not in files]
    count(skipped, "CSV files that are not read", len(others), *others)

    def labelled() -> Iterator[Labelled]:
        tables = [(path, *_shelves(path)) for path in files]
        wanted = [Wanted((name,), path) for path, labels, _ in tables for name in labels]
        found = iter(ImageFinder(source).find_all(wanted, skipped))
        for path, labels, sizes in tables:
            split = split_of(path.stem)
            for (name, some), file in zip(labels.items(), found):
                if file is not None:
                    place = PurePosixPath("images", plain_name(file))
                    yield Labelled(file, place, split, tuple(some), sizes[name], f"{split}.txt")

    return Conversion(names, labelled(), skipped)


def _shelves(path: Path) -> tuple[dict[str, list[Label]], dict[str, tuple[int, int] | None]]:
    """The labels and the size of each image that a SKU-110K table names."""
    labels: dict[str, list[Label]] = defaultdict(list)
    sizes: dict[str, tuple[int, int] | None] = {}
    for line, row in _rows(path):
        need(len(row) >= 8, "needs 8 values", f"{path}:{line}")
        corners, size = _numbers(row[1:5], path, line), _numbers(row[6:8], path, line)
        labels[row[0]].append(Label(0, tuple(corners)))
        usable = all(math.isfinite(side) and side >= 1 for side in size)
        sizes[row[0]] = (int(size[1]), int(size[0])) if usable else None
    return labels, sizes


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace").replace("\0", "").splitlines()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path) from error


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and values of each line that is not empty."""
    for line, text in enumerate(_lines(path), 1):
        if text.strip():
            yield line, [word.strip() for word in text.strip().rstrip(",").split(",")]


def _records(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        yield from enumerate(csv.DictReader(_lines(path)), 2)
    except csv.Error as error:
        raise DataError(f"not a CSV file ({error})", where=path) from error


def _numbers(words: Sequence, path: Path, line: int) -> list[float]:
    try:
        return [float(word) for word in words]
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{brief(words, 60)} are not numbers", where=f"{path}:{line}") from error
