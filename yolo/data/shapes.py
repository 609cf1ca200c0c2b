"""The project's own data set: drawn shapes on textured backgrounds, the same bytes for the same seed."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from yolo.data.folders import new_folder
from yolo.errors import DataError
from yolo.io.brief import brief

# Each class has its own family of colours: form and colour together are learnt in minutes on a CPU.
HUES = {"circle": 0, "square": 110, "triangle": 60, "star": 26, "ring": 150}  # of 180, as OpenCV counts
CLASSES = tuple(HUES)

_LOG = logging.getLogger("yolo.data")
_FINE = 4  # masks are drawn this many times larger, for smooth edges
_LEAST_VISIBLE = 0.35
_MOST_OBJECTS = 4
_JPEG_QUALITY = 92

Mask = NDArray[np.float32]
Image = NDArray[np.float32]


@dataclass(frozen=True)
class ShapesSpec:
    """What to draw: numbers of images, their side in pixels, the seed."""

    train: int = 320
    val: int = 64
    size: int = 128
    seed: int = 0

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any], source: Path) -> ShapesSpec:
        """The spec in a data set file's ``generator``. Raises DataError for anything it does not know."""
        values = dict(given)
        if values.pop("name", None) != "shapes":
            raise DataError(f"no generator {brief(given.get('name'))}", where=source, hint="the one there is: shapes")
        known = {field.name for field in dataclasses.fields(cls)}
        for key, value in values.items():
            if key not in known:
                raise DataError(
                    f"the generator has no parameter {brief(key)}", where=source, hint=f"it has {', '.join(known)}"
                )
            low, high = {"size": (32, 1024), "seed": (0, 2**32 - 1)}.get(key, (1, 1_000_000))
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise DataError(
                    f"'{key}' of the generator is {brief(value)}", where=source, hint=f"use {low} to {high}"
                )
        return cls(**values)


def make_shapes(root: Path, spec: ShapesSpec, source: Path) -> None:
    """Draw the data set into ``root`` (images and labels, train and val), complete or not at all.

    ``source`` is the data set file, for messages. Raises DataError when ``root`` cannot be written.
    """
    _LOG.info("drawing %d images into %s", spec.train + spec.val, root)
    with new_folder(root, source) as folder:
        for number, (split, count) in enumerate((("train", spec.train), ("val", spec.val))):
            images, labels = folder / "images" / split, folder / "labels" / split
            images.mkdir(parents=True)
            labels.mkdir(parents=True)
            for k in range(count):
                rng = np.random.default_rng([spec.seed, number, k])
                image, rows = draw_image(rng, spec.size)
                (images / f"{k:06d}.jpg").write_bytes(_encode(image))
                lines = (f"{int(row[0])} " + " ".join(f"{value:.6f}" for value in row[1:]) for row in rows)
                (labels / f"{k:06d}.txt").write_text("".join(f"{line}\n" for line in lines))


def draw_image(rng: Generator, size: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """One image (RGB, uint8 ``[size, size, 3]``) and its label rows (class, xywhn; ``[n, 5]``).

    Later shapes hide earlier ones; one that is seen for less than about a third gets no label. A box is
    that of the whole outline inside the image.
    """
    image = _background(rng, size)
    classes, outlines, boxes = [], [], []
    visible: list[Mask] = []
    for _ in range(int(rng.integers(1, _MOST_OBJECTS + 1))):
        label = int(rng.integers(len(CLASSES)))
        outline = _fine_outline(rng, CLASSES[label], size)
        mask = cv2.resize(outline, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        image += mask[..., None] * (_surface(rng, size, CLASSES[label]) - image)
        visible = [earlier * (1 - mask) for earlier in visible] + [mask]
        classes.append(label)
        outlines.append(float(mask.sum()))
        boxes.append(_box(outline))
    rows = [
        (label, *box)
        for label, box, mask, whole in zip(classes, boxes, visible, outlines)
        if mask.sum() >= _LEAST_VISIBLE * whole
    ]
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), np.array(rows, np.float64).reshape(-1, 5)


def _encode(image: NDArray[np.uint8]) -> bytes:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


def _box(outline: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    """xywhn of what is set in ``outline``."""
    side = outline.shape[0]
    x, y, width, height = cv2.boundingRect(outline)
    return (x + width / 2) / side, (y + height / 2) / side, width / side, height / side


def _fine_outline(rng: Generator, name: str, size: int) -> NDArray[np.uint8]:
    """A filled shape, 0 or 255, ``[4 * size, 4 * size]``: 25 to 60 % of the side, turned at random."""
    side = size * _FINE
    radius = rng.uniform(0.13, 0.3)
    stretch = rng.uniform(0.8, 1.25)
    angle = rng.uniform(0, 2 * math.pi)
    middle = rng.uniform(0.6 * radius, 1 - 0.6 * radius, 2)
    points = _contour(name) * (stretch**0.5, stretch**-0.5)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])

    def place(contour: NDArray[np.float64]) -> NDArray[np.int32]:
        return np.rint((contour @ turn.T * radius + middle) * side).astype(np.int32)

    outline = np.zeros((side, side), np.uint8)
    cv2.fillPoly(outline, [place(points)], 255)
    if name == "ring":
        cv2.fillPoly(outline, [place(points * 0.55)], 0)
    return outline


def _contour(name: str) -> NDArray[np.float64]:
    """The corners of a shape around the origin, about 1 from it, ``[k, 2]``."""
    corners = {"square": 4, "triangle": 3, "star": 10}.get(name, 72)
    angles = np.arange(corners) * 2 * math.pi / corners
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if name == "star":
        points[1::2] *= 0.42
    # Equal radius would make the cornered shapes look smaller than the round ones.
    return points * {"square": 1.2, "triangle": 1.25, "star": 1.2}.get(name, 1.0)


def _background(rng: Generator, size: int) -> Image:
    """Two muted colours mixed by noise, a gradient or stripes, with grain over it; float32 ``[size, size, 3]``."""
    first = rng.uniform(50, 200) + rng.uniform(-15, 15, 3).astype(np.float32)
    second = first + rng.uniform(-50, 50) + rng.uniform(-10, 10, 3).astype(np.float32)
    mixed = first + _texture(rng, size)[..., None] * (second - first)
    return mixed + rng.normal(0, rng.uniform(2, 9), (size, size, 3)).astype(np.float32)


def _surface(rng: Generator, size: int, name: str) -> Image:
    """What a shape is painted with: two brightnesses of a colour of its class's family."""
    hue = (HUES[name] + int(rng.integers(-8, 9))) % 180
    hsv = np.array([[[hue, rng.integers(150, 256), rng.integers(150, 256)]]], np.uint8)
    first = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)
    second = first * np.float32(rng.uniform(0.6, 1.0))
    mixed = first + _texture(rng, size)[..., None] * (second - first)
    return mixed + rng.normal(0, 4, (size, size, 3)).astype(np.float32)


def _texture(rng: Generator, size: int) -> Mask:
    """A pattern of values 0 to 1: plain, clouds, a gradient or stripes; float32 ``[size, size]``."""
    kind = int(rng.integers(4))
    angle, waves, shift = rng.uniform(0, math.pi), rng.uniform(2, 9), rng.uniform(0, 2 * math.pi)
    if kind == 0:
        return np.full((size, size), 0.5, np.float32)
    if kind == 1:
        cells = int(rng.integers(3, 17))
        small = rng.random((cells, cells)).astype(np.float32)
        return np.clip(cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC), 0, 1)
    along = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    ramp = math.cos(angle) * along[None, :] + math.sin(angle) * along[:, None]
    if kind == 2:
        return np.clip(ramp + 0.5, 0, 1).astype(np.float32)
    return (0.5 + 0.5 * np.sin(ramp * 2 * math.pi * waves + shift)).astype(np.float32)
