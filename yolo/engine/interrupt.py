"""Ctrl-C and SIGTERM as a request: the step is finished, then training stops."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType

logger = logging.getLogger("yolo")


class StopRequest:
    """While it is entered the first SIGINT or SIGTERM is noted in ``signal``; another one acts as it always does.

    Outside the main thread, where Python lets nobody set a handler, it notes nothing.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._former: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        while self._former:
            number, handler = self._former.popitem()
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self.__exit__()
        logger.info("stopping after this step; once more to stop at once")
