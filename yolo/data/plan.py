"""A sample plan: everything about one sample except its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo.data.extras import Extra
from yolo.data.letterbox import Letterbox, Size


@dataclass(frozen=True)
class Tile:
    """One image, resized, laid on a canvas; what sticks out is cut off."""

    image: int
    """Position in the index."""
    resized: Size
    offset: tuple[int, int]
    """(x, y) of its upper left corner on the canvas, negative where it sticks out."""


@dataclass(frozen=True, eq=False)
class View:
    """A grey canvas with tiles on it, then objects pasted mirrored, then warped."""

    canvas: Size
    tiles: tuple[Tile, ...]
    size: Size
    """Of the result."""
    pastes: tuple[NDArray[np.int32], ...] = ()
    """Polygons ``[k, 2]`` (x, y) on the canvas; what lies in them is pasted mirrored left-right."""
    matrix: NDArray[np.float64] | None = None
    """``[3, 3]`` from canvas to result, or None when the canvas is the result."""


@dataclass(frozen=True, eq=False)
class SamplePlan:
    """How to render one sample, and its final labels.

    A renderer makes the views, blends them, applies ``extras``, changes the colours by ``hsv``, then flips.
    """

    index: int
    """Position in the index of the image that the sample is named after."""
    size: Size
    views: tuple[View, ...]
    """One, or two that are blended."""
    labels: NDArray[np.float32]
    """``[n, 5]``: class, xywhn of the finished sample."""
    share: float = 1.0
    """Of the first view in the blend."""
    extras: tuple[Extra, ...] = ()
    hsv: tuple[float, float, float] | None = None
    """Factors for hue, saturation and value."""
    flip_vertical: bool = False
    flip_horizontal: bool = False
    augmented: bool = False
    letterbox: Letterbox | None = None
    """Set where the sample is one image, not warped."""

    @property
    def has_odd_colours(self) -> bool:
        """Whether a factor of ``hsv`` is below 0, of hyperparameters over 1: only OpenCV's tables take such."""
        return self.hsv is not None and min(self.hsv) < 0
