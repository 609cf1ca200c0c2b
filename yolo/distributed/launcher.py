"""OneFlow's launcher as its ranks see it: none outlives it, and a rank that refuses has the last word."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

_STATE, _PARENT, _START = 0, 1, 19  # proc(5), stat: behind the name
_PARENT_DEATH_SIGNAL = 1
_NAMES = (b"oneflow.distributed.launch", b"oneflow/distributed/launch.py")
# For how long the launcher is waited for, and how often it is looked at, in seconds.
_MOST, _GLANCE = 30.0, 0.005


class LastWord:
    """What a rank says behind the launcher's own words, at the very end of its process.

    The launcher prints a traceback, and ends with 1, as soon as it sees that a rank has ended with an error. Asked to
    end before that it ends with 1 too, but says three short lines. So a rank that is to end with an error asks it
    first, and speaks when those lines are out; the launcher then still has OneFlow to take down. It ends all ranks when
    it is asked: those that have nothing to say wait for one that has.

    Made before the ranks meet: what is registered first is done last, when all of them have left.
    """

    def __init__(self) -> None:
        self._say: Callable[[], None] | None = None
        self._fails = False
        self._launcher = _launcher()
        if self._launcher is not None:
            atexit.register(self._end)

    def leave(self, say: Callable[[], None] | None) -> None:
        """The process will end with an error: call ``say`` at the end, at once where there is no launcher."""
        self._fails, self._say = True, say
        if self._launcher is None and say is not None:
            say()

    def _end(self) -> None:
        if not self._fails:
            return
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the launcher sends it to all of its group
        end_stopped_siblings()
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, 0)
        asks = self._say is not None or os.environ.get("LOCAL_RANK") == "0"
        if asks and _ends_on_request(self._launcher):
            os.kill(self._launcher, signal.SIGTERM)
        deadline = time.monotonic() + _MOST
        while _ends_on_request(self._launcher) and time.monotonic() < deadline:
            time.sleep(_GLANCE)
        if self._say is not None:
            self._say()
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()


def die_with_launcher(number: int) -> None:
    """Let the kernel send this process a signal when its launcher is gone, which may be now: none outlives it."""
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, number)
    # What it started is in its group, what others have taken over is not.
    if _launched() and os.getpgid(os.getppid()) != os.getpgrp():
        os.kill(os.getpid(), number)


def end_stopped_siblings() -> None:
    """Kill what this process's launcher has started and somebody has stopped: nothing else would ever end it.

    A rank that was stopped before it could ask the kernel for an end with its launcher is known to nobody.
    """
    launcher = _launcher()
    for process in _processes() if launcher is not None else ():
        with contextlib.suppress(OSError):
            fields = _stat(process)
            if fields[_STATE] in "Tt" and int(fields[_PARENT]) == launcher:
                os.kill(process, signal.SIGKILL)


def siblings() -> dict[int, tuple[int, int]]:
    """The other ranks that this process's launcher has started: of each its process and its start.

    All of that is the kernel's word: who is whose child, with which environment, and when it began, in clock ticks
    since the machine did. A number may be another process's later; with its start it is not.
    """
    launcher, found = _launcher(), {}
    for process in _processes() if launcher is not None else ():
        with contextlib.suppress(OSError, KeyError, ValueError):
            words = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
            rank = int(dict(word.split(b"=", 1) for word in words if b"=" in word)[b"RANK"])
            fields = _stat(process)
            if int(fields[_PARENT]) == launcher and process != os.getpid():
                found[rank] = process, int(fields[_START])
    return found


def start_of(process: int) -> int:
    """When a process began, in clock ticks since the machine did. Raises OSError where there is none."""
    return int(_stat(process)[_START])


def launcher_of_all() -> str:
    """Which launcher has started all ranks of this process's job, on this machine; "" where not one alone did, or none.

    Two launchers never have the same text.
    """
    launcher = _launcher()
    with contextlib.suppress(OSError):
        if launcher is not None and _machines(launcher) == 1:
            return f"{os.readlink('/proc/self/ns/pid')} {launcher} {start_of(launcher)}"
    return ""


def _machines(launcher: int) -> int:
    """As its words say. It takes an option by any beginning of its name that no other one has."""
    words = [word.decode(errors="replace") for word in Path(f"/proc/{launcher}/cmdline").read_bytes().split(b"\0")]
    for word, following in zip(words, (*words[1:], "")):
        name, has_value, value = word.partition("=")
        if len(name) > len("--n") and "--nnodes".startswith(name):
            number = value if has_value else following
            return int(number) if number.isdecimal() else 0
    return 1


def _processes() -> list[int]:
    return [int(process.name) for process in Path("/proc").glob("[0-9]*")]


def _stat(process: int) -> list[str]:
    """What the kernel says of a process, behind its name. Raises OSError where there is none."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()


def _launched() -> bool:
    """Whether OneFlow's launcher has started this process: it sets this variable so."""
    return os.environ.get("GLOG_log_dir", "").endswith(f"local_rank_{os.environ.get('LOCAL_RANK')}")  # noqa: SIM112


def _launcher() -> int | None:
    """The process of the launcher that has started this one; None where that is gone or another's."""
    parent = os.getppid()
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0")
        if _launched() and any(word.endswith(_NAMES) for word in words):
            return parent
    return None


def _ends_on_request(process: int) -> bool:
    """Whether it is there and has a handler of SIGTERM; Python takes handlers away when all output is out."""
    if os.getppid() != process:
        return False
    with contextlib.suppress(OSError):
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
        return bool(int(status["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1)
    return False
