"""The frame that an image's boxes are in, where the annotations and the image disagree about its size."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from yolo.data.convert.records import Label, Labelled, Tally, count
from yolo.data.image_header import read_header

_SWAPPED = "images whose annotations swap width and height"
_TURNS: dict[int, Callable[[float, float, int, int], tuple[float, float]]] = {
    5: lambda x, y, height, width: (y, x),
    6: lambda x, y, height, width: (height - y, x),
    7: lambda x, y, height, width: (height - y, width - x),
    8: lambda x, y, height, width: (y, width - x),
}
"""Where a point of the stored image of that height and width is in the upright one, by EXIF orientation."""


def in_frame(
    item: Labelled, actual: tuple[int, int], noticed: Tally
) -> tuple[tuple[Label, ...], tuple[int, int]] | None:
    """The labels and the height and width that they are in; None where these cannot be known.

    ``actual`` is the upright image's size. Width and height that the annotations swap mean that the boxes are in the
    stored image, before the turn by its EXIF orientation, unless they fit only the upright one; they are turned with
    it. Without such an orientation they are taken as they are if they fit. Other sizes are as ``item.scaled`` says.
    """
    if item.size is None or item.size == actual:
        return item.labels, actual
    name = item.image.name
    if item.size != actual[::-1]:
        what = "scaled to it" if item.scaled else "taken as they are"
        count(noticed, f"images of another size than their annotations say: boxes are {what}", 1, name)
        return item.labels, item.size if item.scaled else actual
    turn = _TURNS.get(_orientation(item.image, item.size))
    fit_said, fit_own = (all(_fits(label, size) for label in item.labels) for size in (item.size, actual))
    if turn and (fit_said or not fit_own):
        count(noticed, f"{_SWAPPED}: boxes are turned with the image by its EXIF orientation", 1, name)
        return tuple(_turned(label, turn, *item.size) for label in item.labels), actual
    if fit_own or not fit_said:
        count(noticed, f"{_SWAPPED}: boxes are taken as they are in the upright image", 1, name)
        return item.labels, actual
    return None


def _orientation(image: Path, size: tuple[int, int]) -> int:
    """The EXIF orientation of an image that is stored with that height and width; 1 for any other."""
    with open(image, "rb") as stream:
        header = read_header(stream)
    return header.orientation if (header.height, header.width) == size else 1


def _fits(label: Label, size: tuple[int, int]) -> bool:
    """Whether the box is within an image of that height and width, but for a pixel of rounding."""
    return label.box[2] <= size[1] + 1 and label.box[3] <= size[0] + 1


def _turned(label: Label, turn: Callable, height: int, width: int) -> Label:
    corners = [turn(x, y, height, width) for x, y in (label.box[:2], label.box[2:])]
    (left, right), (top, bottom) = (sorted(values) for values in zip(*corners))
    points = [turn(x, y, height, width) for x, y in zip(label.outline[0::2], label.outline[1::2])]
    outline = tuple(value for point in points for value in point)
    return dataclasses.replace(label, box=(left, top, right, bottom), outline=outline)
