"""Programs started as several ranks by OneFlow's launcher."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def launcher(*, loaded: bool = False) -> list[str]:
    """The command of OneFlow's launcher, by its file; ``loaded``: with ``-m``, which loads all of OneFlow for it."""
    if loaded:
        return [sys.executable, "-m", "oneflow.distributed.launch"]
    return [sys.executable, str(Path(importlib.util.find_spec("oneflow").origin).parent / "distributed/launch.py")]


def free_port() -> int:
    """A port for a launcher that is free, with the one behind it, where the ranks meet.

    It is none of those that Linux gives to whoever connects, which may take it at any time.
    """
    for port in _ports():
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError):
            first.bind(("", port))
            second.bind(("", port + 1))
            return port
    raise OSError("no two free ports")


def _ports() -> Iterator[int]:
    """Even ports below Linux's own, in the order of chance: test processes run side by side."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = list(range(10_000, min(lowest, 32_000) - 1, 2))
    random.SystemRandom().shuffle(ports)
    return iter(ports)


def launch(
    program: Sequence[str],
    ranks: int,
    *,
    seconds: float = 240,
    environment: Mapping[str, str] | None = None,
    loaded: bool = False,
) -> subprocess.CompletedProcess:
    """Run ``program`` (a script, or ``-m`` and a module; then arguments) as so many ranks, and wait for all of them."""
    command = [*launcher(loaded=loaded), "--nproc_per_node", str(ranks), "--master_port", str(free_port()), *program]
    given = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    process = subprocess.Popen(
        command, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, out, err)
