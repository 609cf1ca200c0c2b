"""Commands of this package as processes of their own, which end when this one does."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1
_PATIENCE = 10.0


def start_child(
    module: str,
    arguments: Sequence[str],
    *,
    stdout: int | IO[Any] = subprocess.DEVNULL,
    stderr: int | IO[Any] = subprocess.DEVNULL,
    cores: Collection[int] | None = None,
) -> subprocess.Popen:
    """Start ``python -m module arguments``, on ``cores`` where given; Ctrl-C does not reach it.

    It is killed when the thread that started it ends, however that happens. Call this in the main thread.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    libc, parent = ctypes.CDLL(None), os.getpid()

    def before() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before it could be watched
            os._exit(1)
        if cores:
            os.sched_setaffinity(0, cores)

    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
        preexec_fn=before,
    )


def stop_child(process: subprocess.Popen) -> None:
    """End a child: asked first, made to after ten seconds."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
