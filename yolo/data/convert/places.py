"""Formats with images from above and from the road: xView (GeoJSON) and Argoverse-HD (JSON)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from yolo.data.convert.coco import read_json
from yolo.data.convert.image_finder import ImageFinder, Wanted, parts_of, plain_name
from yolo.data.convert.records import (
    Conversion,
    Label,
    Labelled,
    Tally,
    box_of,
    count,
    is_id,
    is_number,
    need,
    split_of,
)
from yolo.data.convert.walk import files_below

XVIEW_TYPES = (
    *(11, 12, 13, 15, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 32, 33, 34, 35, 36, 37, 38, 40, 41, 42, 44, 45),
    *(47, 49, 50, 51, 52, 53, 54, 55, 56, 57, 59, 60, 61, 62, 63, 64, 65, 66, 71, 72, 73, 74, 76, 77, 79, 83, 84, 86),
    *(89, 91, 93, 94),
)
"""xView's type_id of each class."""


def xview(source: Path, names: Sequence[str], segments: bool = False) -> Conversion:
    """``*.geojson`` with ``image_id``, ``type_id`` and ``bounds_imcoords`` (``x1,y1,x2,y2``) for each object.

    xView has one labelled set; one image of ten, chosen by its name's hash, is for validation.
    """
    skipped = Tally()
    files = files_below(source, "*.geojson", skipped)
    need(files, "no GeoJSON file below it", source)
    labels: dict[tuple[str, Path], list[Label]] = defaultdict(list)
    for path in files:
        content = read_json(path)
        features = content.get("features") if isinstance(content, dict) else None
        need(isinstance(features, list), "no list of features", path)
        for name, label in _objects(features, skipped):
            labels[name, path].append(label)

    def labelled() -> Iterator[Labelled]:
        objects = sorted(labels.items())
        wanted = [Wanted((name,), path) for (name, path), _ in objects]
        for ((name, _), some), file in zip(objects, ImageFinder(source).find_all(wanted, skipped)):
            if file is None:
                continue
            split = "val" if hashlib.sha256(name.encode()).digest()[0] % 10 == 0 else "train"
            place = PurePosixPath("images", "train_images", plain_name(file))
            yield Labelled(file, place, split, tuple(some), None, f"images/autosplit_{split}.txt")

    return Conversion(names, labelled(), skipped)


def _objects(features: list[Any], skipped: Tally) -> Iterator[tuple[str, Label]]:
    """The objects of a GeoJSON file with the image that each is in."""
    classes = {number: position for position, number in enumerate(XVIEW_TYPES)}
    for feature in features:
        properties = feature.get("properties") if isinstance(feature, dict) else None
        box = _bounds(properties)
        kind = properties.get("type_id") if box else None
        if not is_number(kind) or kind not in classes:
            count(skipped, "objects of unknown type or without bounds")
        elif not is_id(image := properties.get("image_id")):
            count(skipped, "objects without an image_id")
        else:
            yield str(image), Label(classes[kind], box)


def _bounds(properties: Any) -> tuple[float, float, float, float] | None:
    try:
        left, top, right, bottom = (float(word) for word in properties["bounds_imcoords"].split(","))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return left, top, right, bottom


def argoverse(source: Path, names: Sequence[str], segments: bool = False) -> Conversion:
    """``annotations/{train,val}.json``: images with ``sid``, ``seq_dirs``, annotations with ``bbox`` xywh.

    Images go to ``Argoverse-1.1/images/<split>/<drive>/<camera>/``.
    """
    skipped = Tally()
    contents = [(path, read_json(path)) for path in files_below(source, "*.json", skipped)]
    files = [(path, content) for path, content in contents if isinstance(content, dict) and "seq_dirs" in content]
    need(files, "no JSON file with seq_dirs below it", source)
    read = {path for path, _ in files}
    others = [path.relative_to(source) for path, _ in contents if path not in read]
    count(skipped, "JSON files that are not read", len(others), *others)

    def labelled() -> Iterator[Labelled]:
        images = [(path, content, image) for path, content in files for image in _list(content, "images", path)]
        folders = [_sequence(content, image, path) for path, content, image in images]
        wanted = [Wanted((str(folder / image["name"]),), path) for (path, _, image), folder in zip(images, folders)]
        labels = {path: _road_labels(content, path, len(names), skipped) for path, content in files}
        for (path, _, image), folder, file in zip(images, folders, ImageFinder(source).find_all(wanted, skipped)):
            if file is None:
                continue
            split = split_of(path.stem)
            place = PurePosixPath("Argoverse-1.1", "images", split, *folder.parts[-2:], plain_name(file))
            yield Labelled(file, place, split, tuple(labels[path].get(image.get("id"), ())))

    return Conversion(names, labelled(), skipped)


def _road_labels(content: dict, path: Path, classes: int, skipped: Tally) -> dict[Any, list[Label]]:
    """The labels of each image id."""
    labels = defaultdict(list)
    ids = [image["id"] for image in content["images"] if "id" in image]
    images = set(ids)
    need(len(images) == len(ids), "two images have one id", path)
    for some in _list(content, "annotations", path):
        box, category, image = some.get("bbox"), some.get("category_id"), some.get("image_id")
        good = isinstance(box, list) and len(box) == 4 and all(map(is_number, box))
        if not good or type(category) is not int or not 0 <= category < classes:
            count(skipped, "annotations without a box or with an unknown category")
        elif not is_id(image) or image not in images:
            count(skipped, "annotations of pictures that the file does not name", 1, path.name)
        else:
            labels[image].append(Label(category, box_of(*box)))
    return labels


def _sequence(content: dict, image: dict, path: Path) -> PurePosixPath:
    """The folder that an image's sequence lies in."""
    folders, number = content["seq_dirs"], image.get("sid")
    good = isinstance(folders, list) and type(number) is int and 0 <= number < len(folders)
    need(good and isinstance(folders[number], str), "an image of no sequence", path)
    need(isinstance(image.get("name"), str), "an image without a name", path)
    need(is_id(image.get("id", 0)), "an image whose id is neither number nor text", path)
    return PurePosixPath(*parts_of(folders[number]))


def _list(content: dict, key: str, path: Path) -> list[dict]:
    value = content.get(key)
    need(isinstance(value, list) and all(isinstance(some, dict) for some in value), f"no list of {key}", path)
    return value
