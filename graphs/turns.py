"""Threads take turns in OneFlow, which is not made for several.

It traces one graph at a time, and a graph's end empties the process's list of variables, which tracing fills. And two
threads that call the same operator for the first time wait for each other for ever: one has the operator's own lock and
wants Python's, the other has Python's.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator


class Turns:
    """One thread at a time; in a turn it may take another."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._waiting: deque[Callable[[], None]] = deque()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn; it ends with the block."""
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
        self._catch_up()

    def when_free(self, job: Callable[[], None]) -> None:
        """Do ``job`` now, or where a turn is going on, this thread's too, in whichever thread ends it.

        It never waits: garbage collection comes at any moment, also in the middle of a turn.
        """
        self._waiting.append(job)
        self._catch_up()

    def _catch_up(self) -> None:
        while self._waiting and self._lock.acquire(blocking=False):
            try:
                if self._depth:  # this thread's own turn: its end comes here again
                    return
                self._depth = 1
                try:
                    if self._waiting:
                        self._waiting.popleft()()
                finally:
                    self._depth = 0
            finally:
                self._lock.release()
