"""Ctrl-C and SIGTERM while modules load: they wait until the command can answer them.

An interrupt in the middle of a native module's import comes out as that module's ImportError, or as a traceback.
"""

from __future__ import annotations

import _thread
import contextlib
import importlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

STOPS = (signal.SIGINT, signal.SIGTERM)
# How often a handler looks whether the import is over, in seconds.
_GLANCE = 0.02
_IMPORTING = "<frozen importlib._bootstrap>"


def run(command: str, *, ranks: bool = False) -> NoReturn:
    """Import the command's module, call its ``main`` and end the process with the exit code.

    For a process's first instruction: from then on both signals wait until ``run_command`` lets them through.
    ``ranks``: it may be one of several, which end together.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        code = importlib.import_module(command).main()
    finally:
        with contextlib.suppress(KeyboardInterrupt):  # the command has ended already
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    if ranks:
        importlib.import_module("yolo.distributed.process_group").depart(code)
    _end_quietly()
    sys.exit(code)


def _end_quietly() -> None:
    """From here on a signal ends the process without a word: all is said, and the ends of libraries may take time."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    for number in STOPS:
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let both signals wait for the end of the block, in this thread and those that start in it."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


@contextlib.contextmanager
def let_through() -> Iterator[None]:
    """Let both signals reach the main thread in the block, also those that came before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


class Stop:
    """A signal's handler that raises ``error``; while ``where``'s code imports a module, only behind that."""

    def __init__(self, error: type[BaseException], where: str) -> None:
        self._error, self._where = error, where
        self._again: threading.Timer | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not _importing(frame, self._where):
            raise self._error
        self.close()
        self._again = threading.Timer(_GLANCE, _thread.interrupt_main, [number])
        self._again.daemon = True
        self._again.start()

    def close(self) -> None:
        """Come no more."""
        if self._again is not None:
            self._again.cancel()


def _importing(frame: FrameType | None, where: str) -> bool:
    """Whether an import is going on in ``frame``, called from the module ``where``."""
    while frame is not None and frame.f_globals.get("__name__") != where:
        if frame.f_code.co_filename == _IMPORTING:
            return True
        frame = frame.f_back
    return False
