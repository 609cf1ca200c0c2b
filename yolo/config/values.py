"""Values of options that the detector's arguments share, without the options."""

from __future__ import annotations

import logging
from collections.abc import Sequence

IMAGE_SIZE = 640
"""Pixels a side, where nobody says otherwise."""
MOST_LINE_WIDTH = 200
COMPILE_MODES = ("program", "off")
OVERLAP = 0.2
"""The share of a slice that the next one shows too, where nobody says otherwise."""
MOST_OVERLAP = 0.9


def stride_multiple(size: int, stride: int) -> int:
    """Round an image size up to a multiple of the network's stride, and say so."""
    return stride_multiples((size,), stride)[0]


def stride_multiples(sizes: Sequence[int], stride: int) -> tuple[int, ...]:
    """Round one size, or height and width, up to multiples of the network's stride, and say so in one line."""
    rounded = tuple(max(-(-size // stride), 1) * stride for size in sizes)
    if rounded != tuple(sizes):
        given, used = (" ".join(map(str, some)) for some in (sizes, rounded))
        logging.getLogger("yolo").warning(
            "--imgsz %s is not a multiple of the stride %d: using %s", given, stride, used
        )
    return rounded
