"""A hash by which a change of any of many files is noticed."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1000
_WORKERS = 16
_SLOW = 5e-5
"""Seconds a file from which on a thread waits for the system, rather than for other threads."""


def fingerprint(what: object, *groups: Sequence[str]) -> str:
    """SHA-256 of ``what`` and of the files of each group, in order: their paths, sizes and times of change."""
    digest = hashlib.sha256(str(what).encode("utf-8", "surrogateescape"))
    for files in groups:
        digest.update(f"\0{len(files)}\0".encode())
        digest.update("\0".join(files).encode("utf-8", "surrogateescape"))
        digest.update(_states(files).tobytes())
    return digest.hexdigest()


def _states(files: Sequence[str]) -> NDArray[np.int64]:
    """``[n, 2]``: size and time of change (ns) of each; -1 where it is not there."""
    begin = time.perf_counter()
    first = _some_states(files[:_CHUNK])
    chunks = [files[start : start + _CHUNK] for start in range(_CHUNK, len(files), _CHUNK)]
    if time.perf_counter() - begin < _SLOW * _CHUNK:
        return np.concatenate([first, *map(_some_states, chunks)])
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="stat") as pool:  # over a network
        return np.concatenate([first, *pool.map(_some_states, chunks)])


def _some_states(files: Sequence[str]) -> NDArray[np.int64]:
    found: list[int] = []
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            found += (-1, -1)
        else:
            found += (status.st_size, status.st_mtime_ns)
    return np.array(found, np.int64).reshape(-1, 2)
