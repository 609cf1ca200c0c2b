"""Runs contenders in processes of their own, one run of each in turn, so that all share the machine's moods alike."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.places import ROOT
from yolo.runtime import machine

PAUSE_S = 0.05
"""Between two runs: the threads of the last one stop spinning."""
COMMAND_LIMIT_S = 900.0
ABSENT = "its environment is absent; type: make bench-peers"


class ContenderError(Exception):
    """A contender cannot be measured; the message says why in one line."""


@dataclasses.dataclass(frozen=True)
class Contender:
    """Who is measured. ``module`` is run by ``python``; ``options`` go to its task's ``load``.

    ours: this project; precision: fp32, bf16, fp16 or int8; check: whether its outputs are compared; absent: what is
    said where its environment is.
    """

    name: str
    precision: str
    ours: bool
    python: str
    module: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    check: bool = True
    absent: str = ABSENT


@dataclasses.dataclass
class Measurement:
    """What came out for a contender: milliseconds of its runs and its other figures a run, or why there is nothing."""

    contender: Contender
    ms: list[float] = dataclasses.field(default_factory=list)
    figures: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    outputs: dict[str, np.ndarray] | None = None
    peak_rss_mb: float | None = None
    failure: str | None = None

    @property
    def median_ms(self) -> float | None:
        """Median of the runs, None where there is none."""
        return statistics.median(self.ms) if self.ms else None

    @property
    def spread(self) -> float | None:
        """The distance of the quartiles divided by the median."""
        if not self.ms:
            return None
        low, high = np.percentile(self.ms, (25, 75))
        return float(high - low) / self.median_ms


class Worker:
    """A contender's process; use it in a ``with`` block."""

    def __init__(self, contender: Contender, log: Path) -> None:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
        self._log = log
        with open(log, "wb") as stream:
            self._process = subprocess.Popen(
                [contender.python, "-m", contender.module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                cwd=ROOT,
                env={**os.environ, **contender.environment, "PYTHONPATH": path},
            )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def ask(self, command: str, **values: Any) -> dict[str, Any]:
        """Send a command, give its answer; raises ContenderError for a failure, an ended process or a late answer."""
        try:
            self._process.stdin.write(json.dumps({"command": command, **values}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ContenderError(self._last_words()) from None
        ready, _, _ = select.select([self._process.stdout], [], [], COMMAND_LIMIT_S)
        if not ready:
            self._process.kill()
            raise ContenderError(f"no answer to {command} in {COMMAND_LIMIT_S:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            raise ContenderError(self._last_words())
        answer = json.loads(line)
        if "failure" in answer:
            raise ContenderError(answer["failure"])
        return answer

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"its process ended: {last[:200]}"


def confine(threads: int) -> None:
    """Leave this process, and the contenders it starts, as many processors as they may have threads."""
    machine()  # remembered as it is before
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def measure(
    contenders: Sequence[Contender], folder: Path, *, rounds: int, warmup: int = 2, lead: int = 0
) -> list[Measurement]:
    """Load every contender, take its outputs, then time ``rounds`` rounds of one run each.

    ``warmup`` rounds come before and are not counted; ``lead`` runs go before every timed one, for work so short that
    another contender's leavings in the caches would be measured. ``folder`` takes outputs and logs. A contender that
    fails drops out; the rest goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = [Measurement(contender) for contender in contenders]
    workers: dict[int, Worker] = {}
    try:
        for number, measurement in enumerate(found):
            tell(f"loading {measurement.contender.name}")
            _guarded(measurement, lambda m=measurement, n=number: _start(m, n, workers, folder))
        for number in range(warmup + rounds):
            tell(f"round {number + 1} of {warmup + rounds}")
            for key, worker in workers.items():
                _guarded(found[key], lambda w=worker, m=found[key], n=number: _run(w, m, n >= warmup, lead))
        for key, worker in workers.items():
            _guarded(found[key], lambda w=worker, m=found[key]: _memory(w, m))
    finally:
        for worker in workers.values():
            worker.__exit__()
    return found


def tell(line: str) -> None:
    """Progress: one line on stderr that the next one replaces."""
    end = "\r" if sys.stderr.isatty() else "\n"
    sys.stderr.write(f"\x1b[K{line}{end}" if end == "\r" else f"{line}{end}")
    sys.stderr.flush()


def _guarded(measurement: Measurement, act: Callable[[], None]) -> None:
    if measurement.failure is not None:
        return
    try:
        act()
    except (ContenderError, OSError) as error:
        measurement.failure, measurement.ms = str(error), []


def _start(measurement: Measurement, number: int, workers: dict[int, Worker], folder: Path) -> None:
    contender = measurement.contender
    if not Path(contender.python).exists():
        raise ContenderError(contender.absent)
    worker = workers[number] = Worker(contender, folder / f"{number}.log")
    worker.ask("load", **contender.options)
    if contender.check:
        path = folder / f"{number}.npz"
        worker.ask("outputs", path=str(path))
        with np.load(path) as arrays:
            measurement.outputs = dict(arrays)
        path.unlink()


def _run(worker: Worker, measurement: Measurement, counted: bool, lead: int) -> None:
    time.sleep(PAUSE_S)
    for _ in range(lead):
        worker.ask("run")
    answer = worker.ask("run")
    if counted:
        measurement.ms.append(answer.pop("ms"))
        for name, value in answer.items():
            measurement.figures.setdefault(name, []).append(value)


def _memory(worker: Worker, measurement: Measurement) -> None:
    measurement.peak_rss_mb = worker.ask("memory")["peak_rss_mb"]
