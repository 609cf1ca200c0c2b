"""From another format to a folder with images, YOLO labels and a data set file."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import yaml
from PIL import Image

from yolo.data.convert.coco import coco
from yolo.data.convert.lines import image_lines
from yolo.data.convert.places import argoverse, xview
from yolo.data.convert.records import Conversion, Labelled, Tally, count, is_text, require_text, shown
from yolo.data.convert.tables import globalwheat, sku110k, visdrone
from yolo.data.convert.voc import voc
from yolo.data.convert.walk import image_files, is_within
from yolo.data.images import check_image
from yolo.data.listing import label_path
from yolo.errors import DataError
from yolo.io.files import write_text_atomic

_LOG = logging.getLogger("yolo.data")
_WORKERS = 8
_LONGEST_NAME = 255  # bytes of a file's name, as file systems have it

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
    images: Counter = field(default_factory=Counter)
    """Per split."""
    labels: int = 0
    skipped: Tally = field(default_factory=Tally)
    """What was left out, by reason."""
    noticed: Tally = field(default_factory=Tally)
    """What was taken otherwise than the files say it, by reason."""


def convert(kind: str, source: Path, target: Path, names: Sequence[str] | None, *, segments: bool = False) -> Converted:
    """Write what lies below ``source`` in the format ``kind`` into the empty folder ``target``.

    Images are hard links where the file system allows it, else copies. Links in ``source`` are followed, since many
    keep their images elsewhere; what one leads to outside of it is copied, so that no file out there gets a second
    name, and is ``noticed``. Whatever is not an image by its content is left out. ``names`` are the classes; None:
    those that the data names. Raises DataError for an unknown format, a file that is broken, and when nothing is found.
    """
    if kind not in FORMATS:
        raise DataError(f"no format {kind!r}", where=source, hint=f"there are {', '.join(FORMATS)}")
    if names is not None and len(set(names)) < len(names):
        raise DataError("a class name is there twice", where=f"names {' '.join(names)}", hint="name each class once")
    read = FORMATS[kind][0](source, names, segments)
    done = Converted(tuple(read.names), skipped=read.skipped, noticed=read.noticed)
    require_text(done.names, source, "give --names")
    lists: dict[str, list[str]] = {}
    used: set[Path] = set()
    Image.init()  # Pillow finds its formats on first use, which is not a thing to do in many threads at once
    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="convert")
    try:
        for item, written in _each(pool, read, source, target):
            done.skipped.add(written.skipped)
            done.noticed.add(written.noticed)
            used.add(item.image)
            if written.labels is not None:
                _enter(item, written.labels, done, lists)
    finally:
        pool.shutdown(cancel_futures=True)
    every = list(image_files(source, done.skipped))
    if not done.images:
        why = f" ({'; '.join(done.skipped.lines())})" if done.skipped else ""
        raise DataError(f"annotations but none of their images{why}", where=source, hint="put the images beside them")
    unused = [path for path in every if path not in used]
    some = [path.relative_to(source) for path in unused[:3]]
    count(done.skipped, "image files that no annotation is used for", len(unused), *some)
    for name, lines in lists.items():
        write_text_atomic(target / name, "".join(f"{line}\n" for line in lines))
    _report(done, source)
    return done


def _enter(item: Labelled, labels: int, done: Converted, lists: dict[str, list[str]]) -> None:
    """Note an image that was written, in its split's folders and lists."""
    done.images[item.split] += 1
    done.labels += labels
    entry = item.listed or str(item.place.parent)
    entries = done.entries.setdefault(item.split, [])
    if entry not in entries:
        entries.append(entry)
    if item.listed:
        above = "./" if "/" not in item.listed else ""  # a line from ./ is relative to the list
        lists.setdefault(item.listed, []).append(f"{above}{item.place}")


@dataclass
class _Written:
    """What became of one image: the number of its labels, None where it was left out."""

    labels: int | None = None
    skipped: Tally = field(default_factory=Tally)
    noticed: Tally = field(default_factory=Tally)


def _each(
    pool: ThreadPoolExecutor, read: Conversion, source: Path, target: Path
) -> Iterator[tuple[Labelled, _Written]]:
    """Every image, in order, with what ``_write`` says of it."""
    waiting, taken = [], {}
    source = Path(os.path.realpath(source))
    for item in read.images:
        placed = _placed(item, taken)
        waiting.append((placed or item, pool.submit(_write, item, placed, source, target)))
        if len(waiting) > 1000:
            first, future = waiting.pop(0)
            yield first, future.result()
    for item, future in waiting:
        yield item, future.result()


def _placed(item: Labelled, taken: dict[PurePosixPath, Path]) -> Labelled | None:
    """At a place that nobody has ``taken``: numbered where another image has its own; None where it is there itself.

    Images that differ in their endings alone are told apart, too: they would share a label file.
    """
    place, number = item.place, 1
    while (key := place.with_suffix("")) in taken:
        if taken[key] == item.image:
            return None
        number += 1
        place = item.place.with_stem(f"{item.place.stem}-{number}")
    taken[key] = item.image
    return dataclasses.replace(item, place=place)


def _write(item: Labelled, placed: Labelled | None, source: Path, target: Path) -> _Written:
    """Put one image with its labels where it is ``placed``; ``source`` is the real path of where it is from."""
    done, name = _Written(), item.image.name
    if placed is None:
        count(done.skipped, "pictures occur twice", 1, name)
        count(done.skipped, "labels of pictures that occur twice", len(item.labels), name)
        return done
    if reason := _misplaced(placed.place):
        count(done.skipped, reason, 1, placed.place)
        return done
    try:
        actual = check_image(item.image)
    except DataError:
        count(done.skipped, "pictures are broken", 1, name)
        return done
    lines = image_lines(item, actual, done.skipped, done.noticed)
    if lines is None:
        return done
    place = target / placed.place
    place.parent.mkdir(parents=True, exist_ok=True)
    real = os.path.realpath(item.image)
    inside = is_within(real, str(source))
    count(done.noticed, "images that links lead to outside of the source: copied", int(not inside), name)
    link_or_copy(Path(real), place, link=inside)
    file = label_path(place)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    done.labels = len(lines)
    return done


def _misplaced(place: PurePosixPath) -> str:
    """Why nothing can be put there: it has to stay below the folder, and a file may not have every name."""
    if not is_text(str(place)):
        return "pictures whose name is no Unicode text"
    too_long = any(len(part.encode("utf-8")) > _LONGEST_NAME for part in place.parts)
    unsafe = ".." in place.parts or "\0" in str(place) or place.is_absolute()
    return "pictures with an unsafe path" if too_long or unsafe else ""


def link_or_copy(image: Path, place: Path, *, link: bool = True) -> None:
    """``image`` at ``place``; with ``link`` sharing its bytes on disk where that is possible.

    Raises FileExistsError where something is at ``place``: it may be such a link, whose bytes are somebody's own.
    """
    if link:
        try:
            os.link(image.resolve(), place)
            return
        except FileExistsError:
            raise
        except OSError:  # another disk, a file system without links
            pass
    with open(image, "rb") as source, open(place, "xb") as target:
        shutil.copyfileobj(source, target)


def write_dataset_file(target: Path, converted: Converted, source: Path) -> Path:
    """``data.yaml`` in ``target``: what was converted, as a data set that trains."""
    content = {"path": ".", **{split: some if len(some) > 1 else some[0] for split, some in converted.entries.items()}}
    names = dict(enumerate(converted.names))
    text = yaml.safe_dump({**content, "names": names}, sort_keys=False, allow_unicode=True)
    return write_text_atomic(target / "data.yaml", f"# Made by yolo.convert from {shown(source.name)}\n{text}")


def _report(done: Converted, source: Path) -> None:
    images = ", ".join(f"{number} for {split}" for split, number in done.images.items())
    _LOG.info("%s: %s, %d labels, %d classes", source, images, done.labels, len(done.names))
    if "train" not in done.images:
        _LOG.warning("nothing is for training: by the names of files and folders all of it is val or test")
    for line in done.noticed.lines():
        _LOG.warning("noticed: %s", line)
    for line in done.skipped.lines():
        _LOG.warning("left out: %s", line)
