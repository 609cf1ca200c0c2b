"""What albumentations does for us, said again with OpenCV: the tests' oracle, and its place where it is absent."""

from __future__ import annotations

import types
from collections.abc import Callable

import cv2
import numpy as np

Change = Callable[[np.ndarray], np.ndarray]


def blur(blur_limit: tuple[int, int]) -> Change:
    return lambda image: cv2.blur(image, blur_limit)


def median_blur(blur_limit: tuple[int, int]) -> Change:
    return lambda image: cv2.medianBlur(image, blur_limit[0])


def grey() -> Change:
    return lambda image: cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def clahe(clip_limit: tuple[float, float], tile_grid_size: tuple[int, int]) -> Change:
    def change(image: np.ndarray) -> np.ndarray:
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        lab[..., 0] = cv2.createCLAHE(clip_limit[0], tile_grid_size).apply(lab[..., 0])
        return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)

    return change


def module() -> types.ModuleType:
    """A module with the transforms under the library's names, with the library's way of calling them."""

    def transform(make: Callable[..., Change]):
        def build(p: float, **arguments):
            assert p == 1
            change = make(**arguments)
            return lambda image: {"image": change(image)}

        return build

    found = types.ModuleType("albumentations")
    for name, make in {"Blur": blur, "MedianBlur": median_blur, "ToGray": grey, "CLAHE": clahe}.items():
        setattr(found, name, transform(make))
    return found
