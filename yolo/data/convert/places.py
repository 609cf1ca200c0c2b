"""Formats with pictures from above and from the road: xView (GeoJSON) and Argoverse-HD (JSON)."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from yolo.data.convert.coco import read_json
from yolo.data.convert.pictures import PictureFinder
from yolo.data.convert.records import Conversion, Label, Labelled, box_of, count, need, split_of

XVIEW_TYPES = (
    *(11, 12, 13, 15, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 32, 33, 34, 35, 36, 37, 38, 40, 41, 42, 44, 45),
    *(47, 49, 50, 51, 52, 53, 54, 55, 56, 57, 59, 60, 61, 62, 63, 64, 65, 66, 71, 72, 73, 74, 76, 77, 79, 83, 84, 86),
    *(89, 91, 93, 94),
)
"""xView's type_id of each class."""


def xview(source: Path, names: Sequence[str], segments: bool = False) -> Conversion:
    """``*.geojson`` with ``image_id``, ``type_id`` and ``bounds_imcoords`` (``x1,y1,x2,y2``) for each object.

    xView has one labelled set; one picture of ten, chosen by its name's hash, is for validation.
    """
    files = sorted(source.rglob("*.geojson"))
    need(files, "no GeoJSON file below it", source)
    classes = {number: position for position, number in enumerate(XVIEW_TYPES)}
    skipped: dict[str, int] = {}
    labels: dict[str, list[Label]] = defaultdict(list)
    for path in files:
        content = read_json(path)
        features = content.get("features") if isinstance(content, dict) else None
        need(isinstance(features, list), "no list of features", path)
        for feature in features:
            properties = feature.get("properties") if isinstance(feature, dict) else None
            box = _bounds(properties)
            if box is None or properties.get("type_id") not in classes:
                count(skipped, "objects of unknown type or without bounds")
            else:
                labels[str(properties.get("image_id"))].append(Label(classes[properties["type_id"]], box))
    finder = PictureFinder(source)

    def pictures() -> Iterator[Labelled]:
        for name, some in sorted(labels.items()):
            picture = finder.find(name)
            if picture is None:
                count(skipped, "pictures are not there")
                continue
            split = "val" if hashlib.sha256(name.encode()).digest()[0] % 10 == 0 else "train"
            place = PurePosixPath("images", "train_images", picture.name)
            yield Labelled(picture, place, split, tuple(some), None, f"images/autosplit_{split}.txt")

    return Conversion(names, pictures(), skipped)


def _bounds(properties: Any) -> tuple[float, float, float, float] | None:
    try:
        left, top, right, bottom = (float(word) for word in properties["bounds_imcoords"].split(","))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return left, top, right, bottom


def argoverse(source: Path, names: Sequence[str], segments: bool = False) -> Conversion:
    """``annotations/{train,val}.json``: images with ``sid``, ``seq_dirs``, annotations with ``bbox`` xywh.

    Pictures go to ``Argoverse-1.1/images/<split>/<drive>/<camera>/``.
    """
    contents = [(path, read_json(path)) for path in sorted(source.rglob("*.json"))]
    files = [(path, content) for path, content in contents if isinstance(content, dict) and "seq_dirs" in content]
    need(files, "no JSON file with seq_dirs below it", source)
    skipped: dict[str, int] = {}
    finder = PictureFinder(source)

    def pictures() -> Iterator[Labelled]:
        for path, content in files:
            labels = _road_labels(content, path, len(names), skipped)
            for image in _list(content, "images", path):
                folder = _sequence(content, image, path)
                picture = finder.find(str(folder / image["name"]))
                if picture is None:
                    count(skipped, "pictures are not there")
                    continue
                split = split_of(path.stem)
                place = PurePosixPath("Argoverse-1.1", "images", split, *folder.parts[-2:], picture.name)
                yield Labelled(picture, place, split, tuple(labels.get(image.get("id"), ())))

    return Conversion(names, pictures(), skipped)


def _road_labels(content: dict, path: Path, classes: int, skipped: dict[str, int]) -> dict[Any, list[Label]]:
    """The labels of each image id."""
    labels = defaultdict(list)
    for some in _list(content, "annotations", path):
        box, category = some.get("bbox"), some.get("category_id")
        good = isinstance(box, list) and len(box) == 4 and all(isinstance(value, int | float) for value in box)
        if not good or not isinstance(category, int) or not 0 <= category < classes:
            count(skipped, "annotations without a box or with an unknown category")
        else:
            labels[some.get("image_id")].append(Label(category, box_of(*box)))
    return labels


def _sequence(content: dict, image: dict, path: Path) -> PurePosixPath:
    """The folder that an image's sequence lies in."""
    folders, number = content["seq_dirs"], image.get("sid")
    good = isinstance(folders, list) and isinstance(number, int) and 0 <= number < len(folders)
    need(good and isinstance(folders[number], str), "an image of no sequence", path)
    need(isinstance(image.get("name"), str), "an image without a name", path)
    return PurePosixPath(folders[number])


def _list(content: dict, key: str, path: Path) -> list[dict]:
    value = content.get(key)
    need(isinstance(value, list) and all(isinstance(some, dict) for some in value), f"no list of {key}", path)
    return value
