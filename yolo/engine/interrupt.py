"""Ctrl-C and SIGTERM as a request: the step is finished, then training stops."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType, TracebackType

from yolo.errors import Interrupted

logger = logging.getLogger("yolo")


class StopRequest:
    """While it is entered the first SIGINT or SIGTERM is noted in ``signal``; another one acts as it always does.

    Outside the main thread, where Python lets nobody set a handler, it notes nothing. A ``launched`` process only ever
    notes SIGTERM: on Ctrl-C its launcher sends it one, and the kernel another when the launcher has ended. They may
    come when the step is long finished and another rank still saves, so once stopped such a process ignores SIGTERM.
    """

    def __init__(self, *, launched: bool = False) -> None:
        self.signal: int | None = None
        self._launched = launched
        self._former: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        stopped = self.signal is not None or isinstance(error, Interrupted)  # by what another rank was asked for
        if self._launched and stopped and signal.SIGTERM in self._former:
            self._former[signal.SIGTERM] = signal.SIG_IGN
        self._restore()

    def _restore(self) -> None:
        while self._former:
            number, handler = self._former.popitem()
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        again, self.signal = self.signal is not None, self.signal or number
        if not self._launched:
            self._restore()
        elif signal.SIGINT in self._former and number == signal.SIGINT:
            signal.signal(signal.SIGINT, self._former.pop(signal.SIGINT))
        if not again:
            logger.info("stopping after this step; a second signal stops at once")
