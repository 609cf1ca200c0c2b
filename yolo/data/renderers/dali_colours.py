"""HSV as OpenCV has it in 8 bits, in DALI's operators. Importing it needs NVIDIA DALI.

DALI's own ``hsv`` is a linear change of RGB, which is something else: 8 to 10 levels away in the mean.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from nvidia.dali import fn, math, types

_HUES = 180  # of OpenCV's hue, in units of two degrees
_SCALE = 4096  # of the whole numbers in which OpenCV divides


def shift_colours(image, gains):
    """``image`` (RGB, uint8 ``[H, W, 3]``) with hue, saturation and value multiplied by ``gains`` (float32 ``[3]``).

    As ``yolo.data.renderers.opencv.shift_colours``: the same numbers, rounded in the same places.
    """
    planes = [fn.slice(image, start=(channel,), shape=(1,), axes=(2,)) for channel in range(3)]
    red, green, blue = planes
    high = math.max(math.max(red, green), blue)
    spread = high - math.min(math.min(red, green), blue)
    r, g, b, value, width, is_red, is_green = map(_real, (*planes, high, spread, high == red, high == green))
    behind_red, behind_green = b - r + 2.0 * width, r - g + 4.0 * width
    turn = behind_green + is_green * (behind_red - behind_green)
    turn = turn + is_red * (g - b - turn)
    hue = math.floor(turn * _table(spread, _quotients(_HUES / 6)) + 0.5)
    hue = (hue + _real(hue < 0.0) * float(_HUES)) * gains[0]
    hue = _byte(math.floor(hue - math.floor(hue / float(_HUES)) * float(_HUES)))

    saturation = math.floor(width * _table(high, _quotients(255)) + 0.5)
    saturation = math.floor(math.min(saturation * gains[1], 255.0)) * (1 / 255)
    value = math.floor(math.min(value * gains[2], 255.0)) * (1 / 255)
    # OpenCV cuts the fraction off on the way back.
    channels = (value * (1.0 - saturation * _table(hue, drop)) * 255.0 for drop in _drops())
    return fn.cat(*(_byte(math.floor(channel)) for channel in channels), axis=2)


def _real(x):
    return fn.cast(x, dtype=types.FLOAT)


def _byte(x):
    return fn.cast(x, dtype=types.UINT8)


def _table(index, values: NDArray[np.float32]):
    return fn.lookup_table(index, keys=list(range(256)), values=values.tolist(), dtype=types.FLOAT)


def _quotients(dividend: float) -> NDArray[np.float32]:
    """``dividend`` by 0 (which gives 0) to 255, as exact as OpenCV has it."""
    divisors = np.maximum(np.arange(256), 1)
    quotients = np.rint(dividend * _SCALE / divisors) / _SCALE
    return np.where(np.arange(256), quotients, 0).astype(np.float32)


def _drops() -> tuple[NDArray[np.float32], ...]:
    """For red, green and blue the part, 0 to 1, of the full saturation that is missing at each hue."""
    sixth = np.arange(256, dtype=np.float32) * np.float32(6 / _HUES)
    drops = 2 - abs(sixth - 3), abs(sixth - 2) - 1, abs(sixth - 4) - 1
    return tuple(drop.clip(0, 1) for drop in drops)
