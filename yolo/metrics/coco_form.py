"""What is odd in COCO's JSON and would be measured wrongly without a word: refused in one line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any, Final

from yolo.errors import DataError
from yolo.io.brief import brief

Row = dict[str, Any]
_BOX: Final = "left, top, width, height"


def check_annotations(truth: dict[str, Any], where: object) -> None:
    """Raise DataError for ids or names that occur twice, and annotations of unknown images, categories or no box.

    What lacks a field or has another form raises KeyError, TypeError or AttributeError.
    """
    images = {image["id"] for image in truth["images"]}
    categories = {category["id"] for category in truth["categories"]}
    _refuse_twice("image id", [image["id"] for image in truth["images"]], where)
    _refuse_twice("category id", [category["id"] for category in truth["categories"]], where)
    _refuse_twice("category name", [category["name"] for category in truth["categories"]], where)
    for place, row in enumerate(truth["annotations"]):
        _check_row(row, images, categories, f"{where}: annotations[{place}]", "the same file")


def check_detections(rows: Sequence[Row], truth: dict[str, Any], where: object) -> None:
    """Raise DataError for detections of images or categories that ``truth`` does not know, without a box or a score.

    What lacks a field or has another form raises KeyError, TypeError or AttributeError.
    """
    images = {image["id"] for image in truth["images"]}
    categories = {category["id"] for category in truth["categories"]}
    for place, row in enumerate(rows):
        _check_row(row, images, categories, f"{where}: [{place}]", "the annotations")
        if not _is_number(row["score"]):
            raise DataError(f"its score is {brief(row['score'])}, not a finite number", where=f"{where}: [{place}]")


def _check_row(row: Row, images: set, categories: set, where: str, holder: str) -> None:
    for field, known, what in (("image_id", images, "image"), ("category_id", categories, "category")):
        if row[field] not in known:
            hint = f"ids must be those of {holder}, text or number as there"
            raise DataError(
                f"its {field} is {brief(row[field])}, and no such {what} is in {holder}", where=where, hint=hint
            )
    box = row["bbox"]
    if not len(box) == 4 or not all(map(_is_number, box)) or min(box[2:]) < 0:
        raise DataError(f"its bbox is {brief(box, 100)}, not four finite numbers ({_BOX})", where=where)
    if not _is_number(row.get("area", 0)):
        raise DataError(f"its area is {brief(row['area'])}, not a finite number", where=where)


def _refuse_twice(what: str, values: Iterable[Any], where: object) -> None:
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise DataError(f"the {what} {brief(value)} occurs twice", where=where, hint="give each its own")
        seen.add(value)


def _is_number(value: object) -> bool:
    # Compared, since a whole number of hundreds of digits is finite and no float.
    return isinstance(value, Real) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
