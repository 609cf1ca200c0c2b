"""Cameras and streams through OpenCV."""

from __future__ import annotations

import math
import re

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo.errors import DataError
from yolo.inference.sources.timeline import USUAL_FPS
from yolo.inference.sources.video import quiet

# Milliseconds that connecting, and waiting for the next frame, may take.
_OPEN_MS, _READ_MS = 10_000, 10_000


class Capture:
    """An open camera or stream."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and 1 <= fps <= 1000 else USUAL_FPS
        """Frames a second, as far as it says."""

    def grab(self) -> bool:
        """Go to the next frame; False when there is none."""
        return self._capture.grab()

    def retrieve(self) -> NDArray[np.uint8] | None:
        """The frame, RGB uint8 ``[H, W, 3]``; None when it cannot be decoded."""
        there, bgr = self._capture.retrieve()
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB) if there else None

    def release(self) -> None:
        """Close it."""
        self._capture.release()


def open_capture(source: str) -> Capture:
    """Connect to a camera (its number) or a stream (its URL); raises DataError when that fails."""
    camera = source.isdecimal()
    with quiet():
        try:
            if camera:
                capture = cv2.VideoCapture(int(source))
            else:
                limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _READ_MS]
                capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
        except (cv2.error, UnicodeError, OverflowError):
            capture = None
    if capture is None or not capture.isOpened():
        what, hint = (f"there is no camera {source}", "see which are connected") if camera else (
            "cannot be connected to", "check the address and that it is sending"
        )  # fmt: skip
        raise DataError(what, where="--source" if camera else shown_name(source), hint=hint)
    return Capture(capture)


def shown_name(source: str) -> str:
    """The source as it may be shown: without user and password."""
    return re.sub(r"//[^/@]*@", "//", source)
