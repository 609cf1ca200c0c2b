"""Programs started as several ranks by OneFlow's launcher."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def launch(
    program: Sequence[str], ranks: int, *, seconds: float = 240, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess:
    """Run ``program`` (a script, or ``-m`` and a module; then arguments) as so many ranks, and wait for all of them."""
    command = [sys.executable, "-m", "oneflow.distributed.launch", "--nproc_per_node", str(ranks)]
    command += ["--master_port", str(free_port()), *program]
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
