"""The side of the worker: commands come on stdin, one JSON object a line; each is answered by one line on stdout."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from benchmarks.workers.process_tree import forget_peak, peak_memory_mb


class Task(Protocol):
    """What a contender can do."""

    def load(self, **options: Any) -> None:
        """Make ready to run; ``options`` come from the driver."""

    def run(self) -> Mapping[str, float] | None:
        """The work that is timed, finished when it returns; may give more figures."""

    def outputs(self) -> Mapping[str, np.ndarray]:
        """What is compared between contenders; not timed."""


def serve(task: Task) -> None:
    """Answer ``load``, ``look``, ``run``, ``series``, ``outputs`` and ``memory`` until stdin ends.

    A task that has ``look`` takes other images, .npz of the same size, from which ``outputs`` come.

    What libraries print on stdout goes to stderr. An exception is answered as {"failure": one line}.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            answer = _answer(task, json.loads(line))
        except Exception as error:
            text = " ".join(str(error).split())
            answer = {"failure": f"{type(error).__name__}: {text[:300]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answer(task: Task, command: dict[str, Any]) -> dict[str, Any]:
    name = command.pop("command")
    if name == "load":
        task.load(**command)
        return {}
    if name == "look":
        task.look(**command)
        return {}
    if name == "run":
        begin = time.perf_counter()
        figures = task.run()
        return {"ms": 1000 * (time.perf_counter() - begin), **(figures or {})}
    if name == "series":
        return {"ms": _series(task, command["seconds"])}
    if name == "outputs":
        np.savez(command["path"], **task.outputs())
        forget_peak()  # what is compared is held in copies, which are no part of a run
        return {}
    if name == "memory":
        return {"peak_rss_mb": peak_memory_mb()}
    raise ValueError(f"unknown command {name!r}")


def _series(task: Task, seconds: float) -> list[float]:
    """Run without rest for so long: milliseconds of every run."""
    times = [time.perf_counter()]
    while times[-1] - times[0] < seconds:
        task.run()
        times.append(time.perf_counter())
    return [1000 * (after - before) for before, after in itertools.pairwise(times)]
