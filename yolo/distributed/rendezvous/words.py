"""What a process says that is told to end while it waits for others."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def last_words(line: Callable[[], str]) -> Iterator[None]:
    """Let SIGTERM print that line before it ends the process; who has a handler of his own for it keeps it."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not ours:
        yield
        return

    def say(number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            print(line(), file=sys.stderr, flush=True)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, say)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
