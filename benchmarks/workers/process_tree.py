"""What this process has used together with those that it has started: processor time and memory, from /proc."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_MB = 1e6


def cpu_seconds() -> float:
    """Of all threads, user and system, of this process and of its descendants; those that have ended count too."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime + sum(map(_cpu_seconds, descendants()))


def memory_mb() -> float:
    """What is resident now: of a descendant, what it does not share."""
    return (_status("self", "VmRSS") + sum(_private(pid) for pid in descendants())) / _MB


def peak_memory_mb() -> float:
    """The most that was resident: of a descendant that lives, less what it shares now."""
    peak = _status("self", "VmHWM")
    for pid in descendants():
        shared = _status(pid, "VmRSS") - _private(pid)
        peak += max(_status(pid, "VmHWM") - shared, 0)
    return peak / _MB


def forget_peak() -> None:
    """Give back what this process has freed; its peak and that of those it has started is what is resident then."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
    for pid in ("self", *descendants()):
        with contextlib.suppress(OSError):  # it has ended
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def descendants(pid: int | str = "self") -> Iterator[int]:
    """The processes that ``pid`` has started and that live, and theirs."""
    for thread in _lines(f"{pid}/task", os.listdir):
        for text in _lines(f"{pid}/task/{thread}/children", _words):
            yield int(text)
            yield from descendants(int(text))


def _cpu_seconds(pid: int) -> float:
    """User and system time: fields 14 and 15, counted behind the name, which may hold blanks."""
    fields = _lines(f"{pid}/stat", lambda path: Path(path).read_text().rpartition(")")[2].split())
    return sum(int(fields[place]) for place in (11, 12)) / _TICK if fields else 0.0


def _private(pid: int) -> int:
    """Bytes that no other process maps."""
    lines = _lines(f"{pid}/smaps_rollup", lambda path: Path(path).read_text().splitlines())
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Private_"))


def _status(pid: int | str, name: str) -> int:
    """Bytes."""
    lines = _lines(f"{pid}/status", lambda path: Path(path).read_text().splitlines())
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _words(path: str) -> list[str]:
    return Path(path).read_text().split()


def _lines(name: str, read) -> list[str]:
    """What ``read`` finds there; nothing where the process has ended meanwhile."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return read(f"/proc/{name}")
    return []
