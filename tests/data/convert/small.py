"""Small sets in COCO's and VOC's form, and what became of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.data import foreign
from yolo.data.convert.run import Converted, convert
from yolo.data.images import read_image
from yolo.data.listing import label_path
from yolo.data.records import Index
from yolo.ops import labels_to_xyxy

BOX = [10, 5, 20, 10]
LINE = "0.200000 0.200000 0.200000 0.200000"
"""BOX in an image of 100 x 50 pixels, behind its class."""


@dataclass(frozen=True)
class Result:
    """``labels`` by the images' paths below the folder ``images``, ``shades`` their red values."""

    done: Converted
    labels: dict[str, list[str]]
    shades: dict[str, int]


def converted(kind: str, source: Path, names: Sequence[str] | None = None, *, segments: bool = False) -> Result:
    """Convert ``source`` into a new folder beside it."""
    target = Path(tempfile.mkdtemp(prefix="out", dir=source.parent))
    done = convert(kind, source, target, names, segments=segments)
    images = [path for path in sorted(target.rglob("*")) if "images" in path.parts and path.is_file()]
    images = [path for path in images if path.suffix != ".txt"]
    labels = {str(path.relative_to(target / "images")): label_path(path).read_text().splitlines() for path in images}
    shades = {name: int(np.median(read_image(target / "images" / name)[..., 0])) for name in labels}
    return Result(done, labels, shades)


def coco(path: Path, files: Sequence[str], objects: Sequence[dict] | None = None, **more: Any) -> Path:
    """A COCO JSON of images that are 100 x 50 pixels, with BOX of category 1 in each unless ``objects`` say others."""
    images = [{"id": number, "file_name": name, "width": 100, "height": 50} for number, name in enumerate(files)]
    boxes = [{"image_id": number, "category_id": 1, "bbox": BOX} for number in range(len(files))]
    annotations = (
        boxes if objects is None else [{"image_id": 0, "category_id": 1, "bbox": BOX, **some} for some in objects]
    )
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}], **more}
    return foreign.write(path, json.dumps(content))


def voc(path: Path, head: str = "", body: str | None = None) -> Path:
    """A VOC XML file with the class ``cat`` at BOX, unless ``body`` says otherwise."""
    corners = "<xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>15</ymax>"
    body = f"<object><name>cat</name><bndbox>{corners}</bndbox></object>" if body is None else body
    return foreign.write(path, f"<annotation>{head}{body}</annotation>")


def coco_of(index: Index, path: Path, first: int = 700) -> Path:
    """An index as a COCO JSON: images from id ``first`` on, class k as category 9 - k, and a crowd in the first one."""
    images, annotations = [], [{"image_id": first, "category_id": 9, "iscrowd": 1, "bbox": [0, 0, 9, 9], "area": 81}]
    for number, (image, size, rows) in enumerate(zip(index.paths, index.shapes.tolist(), index.labels), first):
        images.append({"id": number, "file_name": image.name, "height": size[0], "width": size[1]})
        for category, x1, y1, x2, y2 in labels_to_xyxy(rows, size).tolist():
            box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
            annotations.append({"image_id": number, "category_id": 9 - int(category), **box})
    categories = [{"id": 9 - number, "name": name} for number, name in enumerate(index.names)]
    content = {"images": images, "annotations": annotations, "categories": categories[::-1]}
    return foreign.write(path, json.dumps(content))
