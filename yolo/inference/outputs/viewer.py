"""Windows that show results while they come."""

from __future__ import annotations

import logging

import cv2
import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger("yolo")


def has_windows() -> bool:
    """Whether this OpenCV can open windows; the headless build cannot."""
    build = cv2.getBuildInformation()
    _, found, after = build.partition("GUI:")
    return bool(found) and after.split(maxsplit=1)[:1] != ["NONE"]


class Viewer:
    """A window a source. Where there are no windows that is said once, and nothing is shown."""

    def __init__(self) -> None:
        self._opened: set[str] = set()
        self._works = has_windows()
        if not self._works:
            logger.warning(
                "--view-img: this OpenCV has no windows, nothing is shown; pip install opencv-python in place of "
                "opencv-python-headless"
            )

    def show(self, name: str, image: NDArray[np.uint8]) -> None:
        """Show an annotated image (RGB) in the window ``name``."""
        if not self._works:
            return
        try:
            if name not in self._opened:
                cv2.namedWindow(name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
                cv2.resizeWindow(name, image.shape[1], image.shape[0])
                self._opened.add(name)
            cv2.imshow(name, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            cv2.waitKey(1)
        except cv2.error as error:
            self._works = False
            logger.warning("--view-img: no window can be opened (%s); nothing is shown", error.err)

    def close(self) -> None:
        """Close the windows."""
        if self._works and self._opened:
            cv2.destroyAllWindows()
