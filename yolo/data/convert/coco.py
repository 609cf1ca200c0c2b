"""COCO JSON: ``images``, ``categories`` and ``annotations``, one file a split; Objects365 is written so too."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from yolo.data.convert.outline import joined
from yolo.data.convert.pictures import PictureFinder
from yolo.data.convert.records import Conversion, Label, Labelled, box_of, count, need, split_of
from yolo.errors import DataError


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises DataError."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"not valid JSON ({str(error)[:100]})", where=path) from error


def coco(source: Path, names: Sequence[str] | None, segments: bool = False) -> Conversion:
    """The ``instances_*.json`` below ``source``, else every COCO JSON; classes are the categories by their ids' order.

    ``names`` replaces the categories' names (as many). Crowds are left out. With ``segments`` a label is its outline.
    """
    # COCO's own archive also holds captions and keypoints of the same pictures.
    candidates = sorted(source.rglob("instances_*.json")) or sorted(source.rglob("*.json"))
    files = [(path, content) for path in candidates if _is_coco(content := read_json(path))]
    need(files, "no COCO JSON (images, annotations, categories) below it", source)
    categories: dict[int, str] = {}
    for path, content in files:
        for category in content["categories"]:
            need(_has(category, id=int, name=str), "a category without id or name", path)
            categories[category["id"]] = category["name"]
    ids = sorted(categories)
    own = _told_apart([categories[number] for number in ids])
    need(names is None or len(names) == len(own), f"has {len(own)} categories, not {len(names or ())}", source)
    classes = {number: position for position, number in enumerate(ids)}
    skipped: dict[str, int] = {}
    finder = PictureFinder(source)

    def pictures() -> Iterator[Labelled]:
        for path, content in files:
            yield from _split(path, content, classes, finder, segments, skipped)

    return Conversion(tuple(names or own), pictures(), skipped)


def _told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once: a data set file takes none twice."""
    apart: list[str] = []
    for name in names:
        own, number = name, 1
        while own in apart:
            number += 1
            own = f"{name} {number}"
        apart.append(own)
    return tuple(apart)


def _is_coco(content: Any) -> bool:
    return isinstance(content, dict) and all(
        isinstance(content.get(key), list) for key in ("images", "annotations", "categories")
    )


def _has(record: Any, **types: type | tuple) -> bool:
    return isinstance(record, dict) and all(isinstance(record.get(key), kind) for key, kind in types.items())


def _split(
    path: Path, content: dict, classes: dict[int, int], finder: PictureFinder, segments: bool, skipped: dict[str, int]
) -> Iterator[Labelled]:
    """The pictures of one file."""
    name = path.stem.removeprefix("instances_").removeprefix("zhiyuan_objv2_")
    if name == "_annotations.coco":  # as an annotation service exports it: beside the pictures
        name = path.parent.name
    objects = defaultdict(list)
    for annotation in content["annotations"]:
        need(_has(annotation, image_id=(int, str)), "an annotation without image_id", path)
        objects[annotation["image_id"]].append(annotation)
    listed = f"{name}.txt" if path.parent.name == "annotations" else ""
    for image in content["images"]:
        need(_has(image, id=(int, str), file_name=str), "an image without id or file_name", path)
        own = objects.pop(image["id"], ())
        picture = finder.find(image["file_name"], (path.parent, source_folder(path, name)), split=name)
        if picture is None:
            count(skipped, "pictures are not there")
            continue
        labels = [_label(some, classes, segments, skipped, path) for some in own]
        place = PurePosixPath("images", name, PurePosixPath(image["file_name"]).name)
        yield Labelled(picture, place, split_of(name), tuple(filter(None, labels)), _size(image), listed)
    count(skipped, "annotations of pictures that the file does not name", sum(map(len, objects.values())))


def _size(image: dict) -> tuple[int, int] | None:
    """Height and width; None where the file does not say them and the picture has to."""
    sides = (image.get("height"), image.get("width"))
    usable = all(isinstance(side, int | float) and math.isfinite(side) and side >= 1 for side in sides)
    return (int(sides[0]), int(sides[1])) if usable else None


def source_folder(path: Path, name: str) -> Path:
    """Where the pictures of ``annotations/instances_<name>.json`` lie."""
    return path.parent.parent / "images" / name


def _label(
    annotation: dict, classes: dict[int, int], segments: bool, skipped: dict[str, int], path: Path
) -> Label | None:
    box, category = annotation.get("bbox"), annotation.get("category_id")
    numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(value, int | float) for value in box)
    if annotation.get("iscrowd"):
        count(skipped, "crowds")
    elif not numbers or category not in classes:
        count(skipped, "annotations without a box or with an unknown category")
    else:
        outline = annotation.get("segmentation") if segments else None
        parts = [part for part in outline if _is_outline(part)] if isinstance(outline, list) else []
        return Label(classes[category], box_of(*box), joined(parts))
    return None


def _is_outline(part: Any) -> bool:
    return (
        isinstance(part, list)
        and len(part) >= 6
        and len(part) % 2 == 0
        and all(isinstance(value, int | float) for value in part)
    )
