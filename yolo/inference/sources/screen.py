"""The screen as a source, through the library mss where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo.errors import ConfigError, DataError
from yolo.inference.sources.base import Frame, Task

_USAGE = "give: screen [number] [left top width height]"
_FPS = 30.0


def is_screen(source: str) -> bool:
    """Whether a source names the screen: ``screen``, ``screen 1``, ``screen 0 100 100 640 480``."""
    return source.split(maxsplit=1)[:1] == ["screen"]


class ScreenSources:
    """What the screen shows whenever a frame is asked for; it never ends by itself."""

    live, count, files, left_out = True, 1, (), ()

    def __init__(self, source: str) -> None:
        """Raises ConfigError without mss or for a source written wrongly, DataError where there is no screen."""
        number, part = _parse(source)
        try:
            import mss
        except ImportError as error:
            raise ConfigError("needs mss", where="--source screen", hint="pip install mss") from error
        try:
            self._grabber = mss.mss()
            monitors = self._grabber.monitors
        except Exception as error:  # mss raises its own errors, and whatever the display's library raises
            raise DataError(f"the screen cannot be read ({error})", where="--source screen") from error
        if number >= len(monitors):
            raise DataError(f"there is no screen {number}", where="--source screen", hint="0 is all of them together")
        area = monitors[number]
        left, top, width, height = part or (0, 0, area["width"], area["height"])
        self._area = {"left": area["left"] + left, "top": area["top"] + top, "width": width, "height": height}
        self._number = 0

    def tasks(self) -> Iterator[Task]:
        """Each takes an image of the screen when it is called."""
        while True:
            yield self._frame

    def _frame(self) -> Frame:
        self._number += 1
        return Frame(self._grab(), Path("screen"), 1, self._number, fps=_FPS, live=True)

    def _grab(self) -> NDArray[np.uint8]:
        bgra = np.asarray(self._grabber.grab(self._area), np.uint8)
        return np.ascontiguousarray(bgra[..., 2::-1])

    def close(self) -> None:
        """Let the display go."""
        self._grabber.close()


def _parse(source: str) -> tuple[int, tuple[int, ...]]:
    """The screen's number (0: all together) and left, top, width, height of the part, if one is named."""
    words = source.split()[1:]
    if not all(word.isdecimal() for word in words) or len(words) not in (0, 1, 4, 5):
        raise ConfigError(f"cannot be understood: {source!r}", where="--source", hint=_USAGE)
    numbers = tuple(map(int, words))
    screen, part = (numbers[0], numbers[1:]) if len(numbers) in (1, 5) else (0, numbers)
    if part and 0 in part[2:]:
        raise ConfigError(f"an empty part of the screen: {source!r}", where="--source", hint=_USAGE)
    return screen, part
