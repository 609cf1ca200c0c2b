"""The random decisions of augmentation, as numbers: matrices, layouts, gains, what is pasted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from yolo.data.letterbox import Size
from yolo.data.objects import Objects
from yolo.data.plan import Tile

_MOST_COVERED = 0.30


class Augmentation(Protocol):
    """The hyperparameters of augmentation, by YOLOv5's names."""

    hsv_h: float
    hsv_s: float
    hsv_v: float
    degrees: float
    translate: float
    scale: float
    shear: float
    perspective: float
    flipud: float
    fliplr: float
    mosaic: float
    mixup: float
    copy_paste: float


def affine_matrix(rng: Generator, hyp: Augmentation, canvas: Size, size: Size) -> tuple[NDArray[np.float64], float]:
    """The matrix ``[3, 3]`` from ``canvas`` to an image of ``size``, and its enlargement.

    Canvas centre to the origin, then perspective, rotation and scale, shear, and the shift that brings the
    origin to the image's centre, give or take ``translate``.
    """
    centre, tilt, shear, shift = np.eye(3), np.eye(3), np.eye(3), np.eye(3)
    centre[:2, 2] = -canvas[1] / 2, -canvas[0] / 2
    tilt[2, :2] = rng.uniform(-hyp.perspective, hyp.perspective, 2)
    angle = math.radians(rng.uniform(-hyp.degrees, hyp.degrees))
    scale = rng.uniform(1 - hyp.scale, 1 + hyp.scale)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    turn = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    shear[[0, 1], [1, 0]] = np.tan(np.radians(rng.uniform(-hyp.shear, hyp.shear, 2)))
    shift[:2, 2] = rng.uniform(0.5 - hyp.translate, 0.5 + hyp.translate, 2) * (size[1], size[0])
    return shift @ shear @ turn @ tilt @ centre, scale


def mosaic_tiles(images: Sequence[int], sizes: Sequence[Size], centre: tuple[int, int]) -> tuple[Tile, ...]:
    """Four images that meet in ``centre`` (x, y): upper left, upper right, lower left, lower right."""
    x, y = centre
    return tuple(
        Tile(image, size, (x - size[1] if left else x, y - size[0] if upper else y))
        for image, size, (upper, left) in zip(images, sizes, ((1, 1), (1, 0), (0, 1), (0, 0)))
    )


def copy_paste(
    rng: Generator, objects: Objects, probability: float, width: int
) -> tuple[Objects, tuple[NDArray[np.int32], ...]]:
    """Mirrored copies of some polygon objects where they hide less than 30 % of every other object.

    Gives the objects with the copies appended, and the polygons to paste, in the place they come from.
    ``width`` is the canvas's. Copies: round(probability * number of polygons) are tried (arXiv 2012.07177).
    """
    candidates = [position for position, polygon in enumerate(objects.polygons) if len(polygon)]
    classes, boxes, polygons = list(objects.classes), list(objects.boxes), list(objects.polygons)
    pastes = []
    chosen = rng.permutation(candidates)[: round(probability * len(candidates))]
    for position in map(int, chosen):
        x1, y1, x2, y2 = objects.boxes[position]
        mirrored = np.array([width - x2, y1, width - x1, y2])
        if x2 <= x1 or y2 <= y1 or (covered_share(mirrored, np.array(boxes)) >= _MOST_COVERED).any():
            continue
        classes.append(objects.classes[position])
        boxes.append(mirrored)
        polygons.append(objects.polygons[position] * (-1, 1) + (width, 0))
        pastes.append(np.rint(objects.polygons[position]).astype(np.int32))
    return Objects(np.array(classes), np.array(boxes).reshape(-1, 4), polygons), tuple(pastes)


def covered_share(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of each of ``others`` (xyxy, ``[n, 4]``) lies under ``box``, 0 to 1."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return sides.clip(0).prod(1) / ((others[:, 2:] - others[:, :2]).prod(1) + 1e-16)


def hsv_gains(rng: Generator, hyp: Augmentation) -> tuple[float, float, float] | None:
    """Factors for hue, saturation and value, each in 1 ± its hyperparameter; None when all are zero."""
    spread = np.array([hyp.hsv_h, hyp.hsv_s, hyp.hsv_v])
    hue, saturation, value = (rng.uniform(-1, 1, 3) * spread + 1).tolist()
    return (hue, saturation, value) if spread.any() else None
