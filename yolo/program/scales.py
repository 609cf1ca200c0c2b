"""Scales of int8 values: real numbers as bytes."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

LEAST, MOST = 1e-30, 1e30
"""Bounds of a step: beyond, it or its inverse is no float32."""


@dataclasses.dataclass(frozen=True)
class Scale:
    """What a byte stands for: ``step * (byte - zero)``."""

    step: float
    zero: int

    @classmethod
    def of_range(cls, low: float, high: float) -> Scale:
        """The bytes spread over low..high, zero among them: padding and ReLU's zeros are then exact."""
        if not math.isfinite(low) or not math.isfinite(high):
            raise ValueError("the network's values are not finite on these images")
        low, high = min(float(low), 0.0), max(float(high), 0.0)
        step = min(max(float(np.float32((high - low) / 255)), 2 * LEAST), MOST / 2)
        return cls(step, min(max(round(-low / step), 0), 255))


PIXELS = Scale(float(np.float32(1 / 255)), 0)
"""Of images: their bytes as they are."""
