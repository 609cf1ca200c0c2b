"""Detections and labels in COCO's JSON form, and COCO's own evaluation of them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from yolo.errors import DataError, RuntimeSetupError
from yolo.io.brief import brief
from yolo.metrics.coco_form import Row, check_annotations, check_detections
from yolo.ops import labels_to_xyxy

ImageId = int | str
# COCO numbers its 80 classes 1 to 90; these ten were never used.
_UNUSED_CATEGORIES = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
COCO_CATEGORIES = tuple(number for number in range(1, 91) if number not in _UNUSED_CATEGORIES)


class LabelledImages(Protocol):
    """What ``labels_to_coco`` reads: a data set's index, or anything like it."""

    paths: Sequence[Path]
    labels: Sequence[NDArray[np.float32]]  # each [n, 5]: class, xywhn
    shapes: ArrayLike  # [N, 2]: height, width
    names: Sequence[str]


@dataclass(frozen=True)
class CocoMetrics:
    """COCO's twelve figures; -1, as COCO prints it, where there is nothing to measure.

    ``small`` is an area below 32² pixels, ``large`` one from 96² on. ``recall_1`` is the average recall with at
    most one detection an image. ``ap_by_class`` holds AP50-95 by category name, for categories
    with annotations.
    """

    map50_95: float
    map50: float
    map75: float
    map_small: float
    map_medium: float
    map_large: float
    recall_1: float
    recall_10: float
    recall_100: float
    recall_small: float
    recall_medium: float
    recall_large: float
    ap_by_class: dict[str, float] = field(default_factory=dict)


def image_id(path: str | Path) -> ImageId:
    """COCO's id of an image file: the stem, as a number when it is one (``000000000139.jpg`` -> 139)."""
    stem = Path(path).stem
    return int(stem) if stem.isascii() and stem.isdecimal() else stem


def category_id(category: int, *, coco_ids: bool = False) -> int:
    """The id written for class ``category``: itself, or with ``coco_ids`` COCO's number (0 -> 1, 79 -> 90)."""
    return COCO_CATEGORIES[category] if coco_ids else category


def coco_rows(detections: ArrayLike, path: str | Path, *, coco_ids: bool = False) -> list[Row]:
    """COCO result rows of ``detections [n, 6]`` (x1, y1, x2, y2, confidence, class; original pixels).

    A box is left, top, width, height to 3 decimals; a score has 5.
    """
    detections = np.asarray(detections, np.float64).reshape(-1, 6)
    boxes = np.concatenate((detections[:, :2], detections[:, 2:4] - detections[:, :2]), 1).round(3).tolist()
    scores = detections[:, 4].round(5).tolist()
    image = image_id(path)
    return [
        {
            "image_id": image,
            "category_id": category_id(int(category), coco_ids=coco_ids),
            "bbox": box,
            "score": score,
        }
        for category, box, score in zip(detections[:, 5], boxes, scores)
    ]


def labels_to_coco(index: LabelledImages, *, coco_ids: bool = False) -> dict[str, Any]:
    """COCO annotations of a YOLO data set, so that COCO's rule can measure it.

    Raises DataError when two images have one id (the same file name in two folders).
    """
    images: list[Row] = []
    annotations: list[Row] = []
    seen: dict[ImageId, Path] = {}
    for path, labels, (height, width) in zip(index.paths, index.labels, np.asarray(index.shapes).tolist()):
        image = image_id(path)
        if image in seen:
            raise DataError(f"has the COCO id {brief(image)} of {seen[image]}", where=path, hint="rename one")
        seen[image] = path
        images.append({"id": image, "file_name": Path(path).name, "height": height, "width": width})
        for category, x1, y1, x2, y2 in labels_to_xyxy(labels, (height, width)).tolist():
            annotations.append(
                {
                    "id": len(annotations) + 1,  # COCO's matching takes 0 for "none"
                    "image_id": image,
                    "category_id": category_id(int(category), coco_ids=coco_ids),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
    categories = [
        {"id": category_id(number, coco_ids=coco_ids), "name": name} for number, name in enumerate(index.names)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def evaluate_coco(
    annotations: str | Path | dict[str, Any],
    detections: str | Path | Sequence[Row],
    image_ids: Iterable[ImageId] | None = None,
) -> CocoMetrics:
    """COCO's figures for ``detections`` (rows, or a JSON file of them) against ``annotations`` (dict or file).

    ``image_ids`` are the images that were looked at, the only ones that count; without them, all of the annotations.
    Raises DataError for a file that is not COCO's JSON, an image or category that the annotations do not know, ids or
    category names that occur twice, and boxes or scores that are no finite numbers.
    """
    where, place = _named(annotations, "annotations"), _named(detections, "detections")
    truth = read_coco(annotations) if isinstance(annotations, str | Path) else annotations
    rows = read_coco(detections) if isinstance(detections, str | Path) else detections
    with _in_cocos_form(where):
        check_annotations(truth, where)
        numbers = _numbers(truth, image_ids, where)
    with _in_cocos_form(place):
        rows = list(rows)
        check_detections(rows, truth, place)
    return _evaluate(*_numbered(truth, rows, numbers))


def _named(given: object, what: str) -> object:
    return given if isinstance(given, str | Path) else what


def refuse_unmeasurable(annotations: dict[str, Any], image_ids: Sequence[ImageId], where: object) -> None:
    """Raise what ``evaluate_coco`` would raise of these images, before anything was detected in them."""
    _evaluation()
    with _in_cocos_form(where):
        check_annotations(annotations, where)
        _numbers(annotations, image_ids, where)


@contextlib.contextmanager
def _in_cocos_form(where: object) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"not COCO's JSON form ({brief(error)})", where=where) from error


def read_coco(path: str | Path) -> Any:
    """A JSON file's content. Raises DataError."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=path) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {error}", where=path) from error


def _numbers(truth: dict[str, Any], image_ids: Iterable[ImageId] | None, where: object) -> dict[ImageId, int]:
    """A number from 1 for each image: the evaluation wants numbers, our ids may be names."""
    known = [image["id"] for image in truth["images"]]
    wanted = known if image_ids is None else list(dict.fromkeys(image_ids))
    unknown = set(wanted) - set(known)
    if unknown:
        raise DataError(
            f"{len(unknown)} of {len(wanted)} images are not in it (such as {min(map(str, unknown))})",
            where=where,
            hint="give the annotations of the split that was validated",
        )
    return {image: number for number, image in enumerate(wanted, 1)}


def _numbered(truth: dict[str, Any], rows: list[Row], numbers: dict[ImageId, int]) -> tuple[dict[str, Any], list[Row]]:
    """Copies with numbered images and categories, of these images only, and without masks.

    The evaluation takes numbers alone, and large ones as floating point.
    """
    places = {category["id"]: number for number, category in enumerate(truth["categories"], 1)}
    images = [image for image in truth["images"] if image["id"] in numbers]
    annotations = [
        {
            "id": number,
            "image_id": numbers[row["image_id"]],
            "category_id": places[row["category_id"]],
            "bbox": row["bbox"],
            "area": row.get("area", row["bbox"][2] * row["bbox"][3]),
            "iscrowd": row.get("iscrowd", 0),
        }
        for number, row in enumerate((row for row in truth["annotations"] if row["image_id"] in numbers), 1)
    ]
    truth = {
        "images": [{**image, "id": numbers[image["id"]]} for image in images],
        "annotations": annotations,
        "categories": [{**category, "id": places[category["id"]]} for category in truth["categories"]],
    }
    rows = [
        {
            "image_id": numbers[row["image_id"]],
            "category_id": places[row["category_id"]],
            "bbox": row["bbox"],
            "score": row["score"],
        }
        for row in rows
        if row["image_id"] in numbers
    ]
    return truth, rows


def _evaluation() -> Any:
    try:
        import faster_coco_eval
    except ImportError as error:
        raise RuntimeSetupError(
            "COCO's evaluation needs faster-coco-eval", hint="pip install faster-coco-eval"
        ) from error
    return faster_coco_eval


def _evaluate(truth: dict[str, Any], rows: list[Row]) -> CocoMetrics:
    library = _evaluation()
    ground = library.COCO(truth)
    evaluation = library.COCOeval_faster(ground, ground.loadRes(rows), iouType="bbox")
    evaluation.run()
    # [iou, recall, category, area, detections]; -1 where a category has no labels
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    names = {category["id"]: category["name"] for category in truth["categories"]}
    by_class = {
        names[number]: float(precision[:, :, column].mean())
        for column, number in enumerate(evaluation.params.catIds)
        if precision[:, :, column].min() > -1
    }
    return CocoMetrics(*(float(value) for value in evaluation.all_stats[:12]), ap_by_class=by_class)
