"""Training samples as YOLOv5's loader makes them by its default recipe, from its formulas, with OpenCV and NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from yolo.config.hyp import Hyperparameters

FILL = 114
LEAST_SIDE, LEAST_AREA, MOST_ASPECT = 2, 0.1, 100
"""Of a box after the warp: pixels, share of its area before, longer side divided by the shorter one."""

Image = NDArray[np.uint8]


class Mosaics:
    """Sample ``i``: image ``i`` and three others, warped, its colours changed, flipped. No mixup, no copy-paste."""

    def __init__(
        self,
        paths: Sequence[str],
        labels: Sequence[NDArray[np.float32]],
        size: int,
        hyp: Hyperparameters,
        *,
        cached: bool = False,
    ) -> None:
        """labels: float32 ``[n, 5]`` an image, class and xywhn; cached: all images are decoded here and kept."""
        self._paths, self._labels, self._size, self._hyp = paths, labels, size, hyp
        self._kept = [self._read(i) for i in range(len(paths))] if cached else None

    def __len__(self) -> int:
        return len(self._paths)

    def sample(self, i: int, rng: Generator) -> tuple[Image, NDArray[np.float32]]:
        """RGB uint8 ``[3, size, size]`` and label rows float32 ``[n, 5]``."""
        canvas, rows = self._mosaic(i, rng)
        image, rows = self._warp(canvas, rows, rng)
        change_colours(image, rng.uniform(-1, 1, 3) * (self._hyp.hsv_h, self._hyp.hsv_s, self._hyp.hsv_v) + 1)
        rows = to_xywhn(rows, self._size)
        for probability, flip, column in ((self._hyp.flipud, np.flipud, 2), (self._hyp.fliplr, np.fliplr, 1)):
            if rng.random() < probability:
                image = flip(image)
                rows[:, column] = 1 - rows[:, column]
        return np.ascontiguousarray(image.transpose(2, 0, 1)[::-1]), rows

    def _read(self, i: int) -> Image:
        """BGR, its longer side ``size``."""
        image = cv2.imread(self._paths[i])
        if image is None:
            raise FileNotFoundError(self._paths[i])
        height, width = image.shape[:2]
        ratio = self._size / max(height, width)
        if ratio != 1:
            sides = min(math.ceil(width * ratio), self._size), min(math.ceil(height * ratio), self._size)
            image = cv2.resize(image, sides, interpolation=cv2.INTER_LINEAR)
        return image

    def _mosaic(self, i: int, rng: Generator) -> tuple[Image, NDArray[np.float32]]:
        """Four images that meet in a point of a grey canvas twice as large; rows of class, x1, y1, x2, y2 in pixels."""
        side = self._size
        x, y = (int(value) for value in rng.uniform(side / 2, 3 * side / 2, 2))
        canvas, found = np.full((2 * side, 2 * side, 3), FILL, np.uint8), []
        chosen = rng.permutation([i, *rng.integers(len(self), size=3)]).tolist()
        for number, (up, left) in zip(chosen, ((1, 1), (1, 0), (0, 1), (0, 0))):
            image = self._kept[number] if self._kept else self._read(number)
            height, width = image.shape[:2]
            at_x, at_y = x - width * left, y - height * up
            cut_x, cut_y = max(-at_x, 0), max(-at_y, 0)
            part = image[cut_y : 2 * side - at_y, cut_x : 2 * side - at_x]
            canvas[at_y + cut_y :, at_x + cut_x :][: part.shape[0], : part.shape[1]] = part
            found.append(to_xyxy(self._labels[number], (width, height), (at_x, at_y)))
        rows = np.concatenate(found)
        np.clip(rows[:, 1:], 0, 2 * side, out=rows[:, 1:])
        return canvas, rows

    def _warp(self, canvas: Image, rows: NDArray[np.float32], rng: Generator) -> tuple[Image, NDArray[np.float32]]:
        """The middle of the canvas, turned, scaled, sheared, shifted; the boxes that are left of the rows'."""
        side, (matrix, scale) = self._size, self._matrix(canvas.shape[0], rng)
        size, grey = (side, side), (FILL, FILL, FILL)
        if self._hyp.perspective:
            image = cv2.warpPerspective(canvas, matrix, size, borderValue=grey)
        else:
            image = cv2.warpAffine(canvas, matrix[:2], size, borderValue=grey)
        if not len(rows):
            return image, rows
        corners = np.ones((len(rows), 4, 3))
        corners[:, :, :2] = rows[:, [1, 2, 3, 4, 1, 4, 3, 2]].reshape(-1, 4, 2)
        corners = corners @ matrix.T
        points = corners[:, :, :2] / corners[:, :, 2:]
        boxes = np.concatenate((points.min(1), points.max(1)), 1).clip(0, side)
        kept = worth_keeping(rows[:, 1:] * scale, boxes)
        return image, np.concatenate((rows[:, :1], boxes), 1)[kept].astype(np.float32)

    def _matrix(self, canvas: int, rng: Generator) -> tuple[NDArray[np.float64], float]:
        """From the canvas to the result, and the scale in it."""
        hyp, side = self._hyp, self._size
        centre, tilt, shear, shift, turn = (np.eye(3) for _ in range(5))
        centre[:2, 2] = -canvas / 2
        tilt[2, :2] = rng.uniform(-hyp.perspective, hyp.perspective, 2)
        angle, scale = rng.uniform(-hyp.degrees, hyp.degrees), rng.uniform(1 - hyp.scale, 1 + hyp.scale)
        turn[:2] = cv2.getRotationMatrix2D((0, 0), angle, scale)
        shear[[0, 1], [1, 0]] = np.tan(np.radians(rng.uniform(-hyp.shear, hyp.shear, 2)))
        shift[:2, 2] = rng.uniform(0.5 - hyp.translate, 0.5 + hyp.translate, 2) * side
        return shift @ shear @ turn @ tilt @ centre, scale


def change_colours(image: Image, gains: NDArray[np.float64]) -> None:
    """Multiply hue, saturation and value of a BGR image by ``gains``, in place, through tables of 8 bits."""
    levels = np.arange(256)
    tables = (levels * gains[0] % 180, np.clip(levels * gains[1], 0, 255), np.clip(levels * gains[2], 0, 255))
    planes = cv2.split(cv2.cvtColor(image, cv2.COLOR_BGR2HSV))
    changed = cv2.merge([cv2.LUT(plane, table.astype(np.uint8)) for plane, table in zip(planes, tables)])
    cv2.cvtColor(changed, cv2.COLOR_HSV2BGR, dst=image)


def worth_keeping(before: NDArray[np.floating], after: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which boxes (xyxy) are not too small, too thin or cut down to almost nothing."""
    (w1, h1), (w2, h2) = ((boxes[:, 2:] - boxes[:, :2]).T for boxes in (before, after))
    aspect = np.maximum(w2 / (h2 + 1e-16), h2 / (w2 + 1e-16))
    return (w2 > LEAST_SIDE) & (h2 > LEAST_SIDE) & (w2 * h2 / (w1 * h1 + 1e-16) > LEAST_AREA) & (aspect < MOST_ASPECT)


def to_xyxy(rows: NDArray[np.float32], sides: tuple[int, int], offset: tuple[int, int]) -> NDArray[np.float32]:
    """Class and xywhn -> class, x1, y1, x2, y2 in pixels of the canvas; sides: width, height."""
    found = rows.copy()
    middle, half = rows[:, 1:3] * sides + offset, rows[:, 3:5] * sides / 2
    found[:, 1:3], found[:, 3:5] = middle - half, middle + half
    return found


def to_xywhn(rows: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """The way back, for an image of ``side``."""
    found = rows.copy()
    found[:, 1:3], found[:, 3:5] = (rows[:, 1:3] + rows[:, 3:5]) / 2 / side, (rows[:, 3:5] - rows[:, 1:3]) / side
    return found
