"""From another format to a folder with pictures, YOLO labels and a data set file."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import yaml
from PIL import Image

from yolo.data.convert.coco import coco
from yolo.data.convert.places import argoverse, xview
from yolo.data.convert.records import Conversion, Label, Labelled, count
from yolo.data.convert.tables import globalwheat, sku110k, visdrone
from yolo.data.convert.voc import voc
from yolo.data.images import check_image
from yolo.data.listing import label_path
from yolo.errors import DataError
from yolo.files import write_text_atomic

_LOG = logging.getLogger("yolo.data")
_WORKERS = 8

FORMATS: dict[str, tuple[Callable[..., Conversion], str]] = {
    "argoverse": (argoverse, "Argoverse"),
    "coco": (coco, ""),
    "globalwheat": (globalwheat, "GlobalWheat2020"),
    "objects365": (coco, "Objects365"),
    "sku110k": (sku110k, "SKU-110K"),
    "visdrone": (visdrone, "VisDrone"),
    "voc": (voc, ""),
    "xview": (xview, "xView"),
}
"""For each format its reader, and the data set file that comes with the package and names the classes."""


@dataclass
class Converted:
    """What was written."""

    names: tuple[str, ...]
    entries: dict[str, list[str]] = field(default_factory=dict)
    """Per split its folders and lists."""
    pictures: Counter = field(default_factory=Counter)
    """Per split."""
    labels: int = 0
    skipped: dict[str, int] = field(default_factory=dict)


def convert(kind: str, source: Path, target: Path, names: Sequence[str] | None, *, segments: bool = False) -> Converted:
    """Write what lies below ``source`` in the format ``kind`` into the empty folder ``target``.

    Pictures are hard links where the file system allows it, else copies. ``names`` are the classes; None: those that
    the data names. Raises DataError for an unknown format, a file that is broken, and when nothing is found.
    """
    if kind not in FORMATS:
        raise DataError(f"no format {kind!r}", where=source, mend=f"there are {', '.join(FORMATS)}")
    read = FORMATS[kind][0](source, names, segments)
    done = Converted(tuple(read.names), skipped=read.skipped)
    lists: dict[str, list[str]] = {}
    Image.init()  # Pillow finds its formats on first use, which is not a thing to do in many threads at once
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="convert")
    try:
        for item, (labels, skipped) in _each(pool, read, target):
            for reason, number in skipped.items():
                count(done.skipped, reason, number)
            if labels is None:
                continue
            done.pictures[item.split] += 1
            done.labels += labels
            entry = item.listed or str(item.place.parent)
            entries = done.entries.setdefault(item.split, [])
            if entry not in entries:
                entries.append(entry)
            if item.listed:
                above = "./" if "/" not in item.listed else ""  # a line from ./ is relative to the list
                lists.setdefault(item.listed, []).append(f"{above}{item.place}")
    finally:
        pool.shutdown(cancel_futures=True)
    if not done.pictures:
        raise DataError("annotations but none of their pictures", where=source, mend="put the pictures beside them")
    for name, lines in lists.items():
        write_text_atomic(target / name, "".join(f"{line}\n" for line in lines))
    _report(done, source)
    return done


def _each(pool: ThreadPoolExecutor, read: Conversion, target: Path):
    """Every picture, in order, with what ``_write`` says of it."""
    waiting, taken = [], {}
    for item in read.pictures:
        placed = _placed(item, taken)
        waiting.append((placed or item, pool.submit(_write, placed, target)))
        if len(waiting) > 1000:
            first, future = waiting.pop(0)
            yield first, future.result()
    for item, future in waiting:
        yield item, future.result()


def _placed(item: Labelled, taken: dict[PurePosixPath, Path]) -> Labelled | None:
    """At a place that nobody has ``taken``: numbered where another picture has its own; None where it is there itself.

    Pictures that differ in their endings alone are told apart, too: they would share a label file.
    """
    place, number = item.place, 1
    while (key := place.with_suffix("")) in taken:
        if taken[key] == item.picture:
            return None
        number += 1
        place = item.place.with_stem(f"{item.place.stem}-{number}")
    taken[key] = item.picture
    return dataclasses.replace(item, place=place)


def _write(item: Labelled | None, target: Path) -> tuple[int | None, dict[str, int]]:
    """Place one picture with its labels; give their number, None where it is left out, and what was, by reason."""
    if item is None:
        return None, {"pictures occur twice": 1}
    if ".." in item.place.parts or item.place.is_absolute():
        return None, {"pictures with an unsafe path": 1}
    try:
        size = item.size if item.size and min(item.size) > 0 else check_image(item.picture)
    except DataError:
        return None, {"pictures are broken": 1}
    place = target / item.place
    place.parent.mkdir(parents=True, exist_ok=True)
    link_or_copy(item.picture, place)
    lines, skipped = label_lines(item.labels, size)
    file = label_path(place)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return len(lines), skipped


def link_or_copy(picture: Path, place: Path) -> None:
    """``picture`` at ``place``, sharing its bytes on disk where that is possible.

    Raises FileExistsError where something is at ``place``: it may be such a link, whose bytes are somebody's own.
    """
    try:
        os.link(picture.resolve(), place)
    except FileExistsError:
        raise
    except OSError:
        with open(picture, "rb") as source, open(place, "xb") as target:
            shutil.copyfileobj(source, target)


def label_lines(labels: Sequence[Label], size: tuple[int, int]) -> tuple[list[str], dict[str, int]]:
    """The lines of a label file: each once, cut to the picture; and what is left out, by reason."""
    lines: dict[str, None] = {}
    skipped: dict[str, int] = {}
    for label in labels:
        words = _outline_words(label, size) or _box_words(label, size)
        line = f"{label.category} {words}"
        count(skipped, "boxes without area in their picture", not words)
        count(skipped, "labels that repeat another", line in lines)
        if words:
            lines[line] = None
    return list(lines), skipped


def _box_words(label: Label, size: tuple[int, int]) -> str:
    height, width = size
    left, right = (min(max(value, 0), width) / width for value in label.box[0::2])
    top, bottom = (min(max(value, 0), height) / height for value in label.box[1::2])
    words = [f"{value:.6f}" for value in ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)]
    return " ".join(words) if all(float(word) > 0 for word in words[2:]) else ""


def _outline_words(label: Label, size: tuple[int, int]) -> str:
    """The outline, '' where there is none or nothing of it is within the picture."""
    sides = (size[1], size[0])
    values = [min(max(value, 0), sides[k % 2]) / sides[k % 2] for k, value in enumerate(label.outline)]
    flat = any(max(some) - min(some) < 1e-6 for some in (values[0::2], values[1::2]) if some)
    return "" if flat else " ".join(f"{value:.6f}" for value in values)


def write_dataset_file(target: Path, converted: Converted, source: Path) -> Path:
    """``data.yaml`` in ``target``: what was converted, as a data set that trains."""
    content = {"path": ".", **{split: some if len(some) > 1 else some[0] for split, some in converted.entries.items()}}
    names = dict(enumerate(converted.names))
    text = yaml.safe_dump({**content, "names": names}, sort_keys=False, allow_unicode=True)
    return write_text_atomic(target / "data.yaml", f"# Made by yolo.convert from {source.name}\n{text}")


def _report(done: Converted, source: Path) -> None:
    pictures = ", ".join(f"{number} for {split}" for split, number in done.pictures.items())
    _LOG.info("%s: %s, %d labels, %d classes", source, pictures, done.labels, len(done.names))
    if "train" not in done.pictures:
        _LOG.warning("nothing is for training: by the names of files and folders all of it is val or test")
    for reason, number in sorted(done.skipped.items()):
        _LOG.warning("left out: %d %s", number, reason)
