"""COCO JSON: ``images``, ``categories`` and ``annotations``, one file a split; Objects365 is written so too."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from yolo.data.convert.categories import merged, renamed
from yolo.data.convert.image_finder import ImageFinder, Wanted, plain_name
from yolo.data.convert.masks import object_outline
from yolo.data.convert.records import (
    Conversion,
    Label,
    Labelled,
    Tally,
    box_of,
    count,
    is_number,
    need,
    shown,
    split_of,
)
from yolo.data.convert.walk import files_below
from yolo.data.images import check_image
from yolo.errors import DataError
from yolo.io.files import require_file

_PEEK = 65536
_TASKS = "JSON files of Label Studio's own form, which are not read: export them as COCO"


Contents = Sequence[tuple[Path, dict]]
"""Files and what they hold."""


@dataclass(frozen=True)
class Reading:
    """What holds for all files of a conversion: where the images are, whether outlines are kept, what is counted."""

    finder: ImageFinder
    segments: bool
    skipped: Tally
    noticed: Tally


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises DataError."""
    try:
        require_file(path)
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"not valid JSON ({str(error)[:100]})", where=path) from error


def coco(source: Path, names: Sequence[str] | None, segments: bool = False) -> Conversion:
    """The ``instances_*.json`` below ``source``, else every COCO JSON; classes are the categories by their ids' order.

    Ids belong to their file; over all files a class is a category's name. ``names`` replaces the categories' names (as
    many), or orders them where they are the same. Crowds are left out. With ``segments`` a label is its outline.
    """
    skipped, noticed = Tally(), Tally()
    files = _files(source, skipped)
    own, numbers = merged([(path, content["categories"]) for path, content in files], source, noticed)
    chosen, order = renamed(own, names, source, noticed)
    classes = [{number: order[position] for number, position in some.items()} for some in numbers]

    def labelled() -> Iterator[Labelled]:
        yield from labelled_images(files, classes, Reading(ImageFinder(source), segments, skipped, noticed))

    return Conversion(chosen, labelled(), skipped, noticed)


def labelled_images(files: Contents, classes: Sequence[dict[int, int]], reading: Reading) -> Iterator[Labelled]:
    """The images that the files name and that are there; ``classes`` are those of each file's category ids."""
    wanted = [_wanted(path, image) for path, content in files for image in _images(path, content)]
    found = iter(reading.finder.find_all(wanted, reading.skipped))
    for (path, content), some in zip(files, classes):
        yield from _split(path, content, some, found, reading)


def read_coco(path: Path) -> dict:
    """The content of a COCO JSON. Raises DataError, also for another JSON file."""
    content = read_json(path)
    need(not isinstance(content, list), "a JSON list and no COCO JSON: export it as COCO", path)
    need(_is_coco(content), "no COCO JSON (images, annotations, categories)", path)
    return content


def _files(source: Path, skipped: Tally) -> Contents:
    """The COCO JSON files with their content; other JSON files are counted."""
    every = files_below(source, "*.json", skipped)
    # COCO's own archive also holds captions and keypoints of the same images.
    instances = [path for path in every if path.name.startswith("instances_")]
    files: list[tuple[Path, dict]] = []
    for candidates in filter(None, (instances, every)):
        files = files or [(path, content) for path in candidates if _is_coco(content := read_json(path))]
    tasks = [path for path in every if _is_task_list(path)]
    need(
        files or not tasks, f"no COCO JSON below it, only Label Studio's own ({', '.join(map(str, tasks[:3]))})", source
    )
    need(files, "no COCO JSON (images, annotations, categories) below it", source)
    read = {path for path, _ in files}
    for path in every:
        if path not in read:
            reason = _TASKS if path in tasks else "JSON files that are not read"
            count(skipped, reason, 1, path.relative_to(source))
    return files


def _is_coco(content: Any) -> bool:
    return isinstance(content, dict) and all(
        isinstance(content.get(key), list) for key in ("images", "annotations", "categories")
    )


def _is_task_list(path: Path) -> bool:
    """Whether a JSON file is a list of Label Studio's tasks, by its beginning: it need not be read whole."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(_PEEK).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path) from error
    return start.startswith(b"[") and any(key in start for key in (b'"annotations"', b'"completions"', b'"data"'))


def _has(record: Any, **types: type | tuple) -> bool:
    return isinstance(record, dict) and all(
        isinstance(record.get(key), kind) and not isinstance(record.get(key), bool) for key, kind in types.items()
    )


def _name(path: Path) -> str:
    name = path.stem.removeprefix("instances_").removeprefix("zhiyuan_objv2_")
    # as an annotation service exports it: beside the images
    return path.parent.name if name == "_annotations.coco" else name


def _images(path: Path, content: dict) -> list[dict]:
    """The file's images. Raises DataError where two of them have one id."""
    named: dict[int | str, str] = {}
    for image in content["images"]:
        need(_has(image, id=(int, str), file_name=str), "an image without id or file_name", path)
        first = named.setdefault(image["id"], image["file_name"])
        need(
            first == image["file_name"], f"the images {shown(first)} and {shown(image['file_name'])} have one id", path
        )
    return content["images"]


def _wanted(path: Path, image: dict) -> Wanted:
    name = _name(path)
    return Wanted((image["file_name"],), path, (), (path.parent, source_folder(path, name)), name)


def source_folder(path: Path, name: str) -> Path:
    """Where the images of ``annotations/instances_<name>.json`` lie."""
    return path.parent.parent / "images" / name


def _split(
    path: Path, content: dict, classes: dict[int, int], found: Iterator[Path | None], reading: Reading
) -> Iterator[Labelled]:
    """The images of one file, of which ``found`` gives the files."""
    name = _name(path)
    objects = defaultdict(list)
    for annotation in content["annotations"]:
        need(_has(annotation, image_id=(int, str)), "an annotation without image_id", path)
        objects[annotation["image_id"]].append(annotation)
    listed = f"{name}.txt" if path.parent.name == "annotations" else ""
    for image, file in zip(content["images"], found):
        own = objects.pop(image["id"], ())
        if file is None:
            continue
        size = _size(image)
        frame = size or (_own_size(file) if reading.segments else None)
        labels = [_label(some, classes, frame, reading) for some in own]
        place = PurePosixPath("images", name, plain_name(file))
        own_labels = tuple(filter(None, labels))
        yield Labelled(file, place, split_of(name), own_labels, size, listed, number=image["id"], file=path)
    number = sum(map(len, objects.values()))
    count(reading.skipped, "annotations of pictures that the file does not name", number, path.name)


def _size(image: dict) -> tuple[int, int] | None:
    """Height and width; None where the file does not say them and the image has to."""
    sides = (image.get("height"), image.get("width"))
    usable = all(is_number(side) and math.isfinite(side) and side >= 1 for side in sides)
    return (int(sides[0]), int(sides[1])) if usable else None


def _own_size(file: Path) -> tuple[int, int] | None:
    try:
        return check_image(file)
    except DataError:  # counted where it is written
        return None


def _label(annotation: dict, classes: dict[int, int], size: tuple[int, int] | None, reading: Reading) -> Label | None:
    box, category = annotation.get("bbox"), annotation.get("category_id")
    numbers = isinstance(box, list) and len(box) == 4 and all(map(is_number, box))
    if annotation.get("iscrowd"):
        count(reading.skipped, "crowds")
    elif not numbers or not is_number(category) or category not in classes:
        count(reading.skipped, "annotations without a box or with an unknown category")
    else:
        outline = object_outline(annotation.get("segmentation"), size, reading.noticed) if reading.segments else ()
        return Label(classes[category], box_of(*box), outline)
    return None
