"""Rare changes of pixels through the library albumentations: blur, median blur, grey, local contrast.

YOLOv5's list, each with its probability of 0.01. None moves anything, so labels stay as they are. What happens to a
sample, and how strongly, is decided by the planner; the library only makes the pixels, with nothing left to chance:
its own random numbers are one stream for all threads.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from yolo.errors import ConfigError

PROBABILITY = 0.01

_KERNELS = (3, 5, 7)  # pixels
_CONTRAST = (1.0, 4.0)  # CLAHE's limit of clipping
_TILES = (8, 8)

Extra = tuple[str, float]
"""Name of a transform, and its strength: a blur's kernel in pixels, CLAHE's limit, 0 where there is none."""


def draw_extras(rng: Generator) -> tuple[Extra, ...]:
    """What happens to a sample, in order; mostly nothing."""
    chances, kernels, limit = rng.random(4), rng.integers(len(_KERNELS), size=2), rng.uniform(*_CONTRAST)
    listed = (
        ("Blur", float(_KERNELS[kernels[0]])),
        ("MedianBlur", float(_KERNELS[kernels[1]])),
        ("ToGray", 0.0),
        ("CLAHE", float(limit)),
    )
    return tuple(extra for extra, chance in zip(listed, chances) if chance < PROBABILITY)


def apply_extras(image: NDArray[np.uint8], extras: tuple[Extra, ...]) -> NDArray[np.uint8]:
    """``image`` (RGB, uint8 ``[H, W, 3]``) changed by ``extras``, in order."""
    for name, strength in extras:
        transform = getattr(library(), name)(**_arguments(name, strength), p=1)
        image = np.ascontiguousarray(transform(image=image)["image"])
    return image


def library() -> ModuleType:
    """albumentations. Raises ConfigError where it is not installed."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # newer versions ask the network when they are imported
    try:
        return importlib.import_module("albumentations")
    except ImportError as error:
        raise ConfigError(
            f"the library albumentations cannot be imported ({error})",
            where="--albumentations",
            hint="pip install albumentations==1.3.1, or leave it out",
        ) from error


def _arguments(name: str, strength: float) -> dict[str, Any]:
    if name in ("Blur", "MedianBlur"):
        return {"blur_limit": (int(strength), int(strength))}
    if name == "CLAHE":
        return {"clip_limit": (strength, strength), "tile_grid_size": _TILES}
    return {}
