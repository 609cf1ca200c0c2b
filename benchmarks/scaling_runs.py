"""One training of some ranks, as a process tree of its own, and what its profiles say of where the time went."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.places import ROOT
from benchmarks.scaling_model import Point
from tests.launched import free_port

STEPS = 4000
"""Spans of each kind that a profile keeps: more steps of an epoch are not looked at one by one."""
LAUNCHER = ["-m", "oneflow.distributed.launch"]
WORKER = ["-m", "benchmarks.workers.pinned_training"]


class RunError(Exception):
    """A training did not come to its end; the message says why in one line."""


@dataclasses.dataclass(frozen=True)
class Figures:
    """Of one run. Seconds: startup from the command to the first step's begin, train and val of the epoch (compiling in
    neither). A step's means, of the steps after the first: step, from one batch to the next; data, waiting for it;
    compute, in operators of its own; outside, in graphs and in agreeing whether to stop, but in no such operator:
    starting, copying, and with several ranks exchange; update, its graph; straggling, waiting for the slowest rank.
    Plain modules, as on GPUs, have no such operators: then compute is 0, and straggling but that for data unknown.
    memory_mb: of rank 0, resident, or on its GPU."""

    ranks: int
    startup: float
    train: float
    val: float
    memory_mb: float
    step: float
    data: float
    compute: float
    outside: float
    update: float
    straggling: float
    updates: float

    @property
    def other(self) -> float:
        """Seconds of a step that are none of the others: loops, logs, results."""
        return max(self.step - self.data - self.compute - self.outside, 0.0)

    def exchange(self, alone: Figures | None) -> float:
        """Seconds of a step that ranks take to exchange, waiting in it: what one rank is outside its operators is none.

        Without a run of one rank all of that counts.
        """
        if self.ranks == 1:
            return 0.0
        return max(self.outside - (alone.outside if alone else 0.0), 0.0)

    def computing(self, alone: Figures | None) -> float:
        """Seconds of a step that a rank computes; of plain modules what their graphs take but for exchange."""
        return self.compute or self.outside - self.exchange(alone)


def run(program: Sequence[str], ranks: int, cores: Sequence[Sequence[int]], folder: Path, limit: float) -> Figures:
    """Train with the words of ``yolo.train``, each rank on its cores (none: where it likes), results in ``folder``.

    Raises RunError when it fails or takes more than ``limit`` seconds.
    """
    pins = "/".join(",".join(map(str, own)) for own in cores)
    words = [*WORKER, pins, *program, "--project", str(folder.parent), "--name", folder.name, "--exist-ok"]
    words += ["--profile", str(STEPS)]
    if ranks > 1:
        words = [*LAUNCHER, "--nproc_per_node", str(ranks), "--master_port", str(free_port()), *words]
    shutil.rmtree(folder, ignore_errors=True)  # nobody may take an earlier run's profile for this one's
    folder.mkdir(parents=True)
    began = time.time()
    _wait([sys.executable, *words], folder / "log.txt", limit)
    return read_figures(folder / "profile", ranks, began)


def read_figures(folder: Path, ranks: int, began: float) -> Figures:
    """What the profiles of all ranks in ``folder`` say; ``began``: when the command was typed, of ``time.time``."""
    try:
        found = [json.loads((folder / f"rank{rank}.json").read_text(encoding="utf-8")) for rank in range(ranks)]
        about = [content["otherData"] for content in found]
        times = [rest["epochs"][0]["times"] for rest in about]
        steps = np.stack([_steps(content["traceEvents"]) for content in found])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(f"its profile cannot be read: {error}") from error
    step, data, backward, own, update, own_update, agreement = steps.transpose(2, 0, 1)  # each [ranks, steps]
    compute = own + own_update
    arrival = data + own
    return Figures(
        ranks,
        startup=max(rest["began"] for rest in about) - began,
        train=max(one["training"] + one["waiting"] for one in times),
        val=max(one["validating"] for one in times),
        memory_mb=about[0].get("gpu_memory_mb", about[0]["peak_rss_mb"]),
        step=float(step.mean()),
        data=float(data.mean()),
        compute=float(compute.mean()),
        outside=float((backward + update + agreement - compute).mean()),
        update=float(update.mean()),
        straggling=float((arrival.max(axis=0) - arrival).mean()),
        updates=float((update[0] > 0).mean()),
    )


def median(runs: Sequence[Figures]) -> Figures:
    """Each figure's median over runs of as many ranks."""
    names = [field.name for field in dataclasses.fields(Figures)]
    middle = {name: statistics.median(getattr(one, name) for one in runs) for name in names}
    return Figures(**{**middle, "ranks": runs[0].ranks})


def point(figures: Figures, alone: Figures) -> Point:
    """The run as the model has it."""
    exchange = figures.exchange(alone)
    compute = figures.computing(alone)
    other = figures.step - figures.data - compute - exchange
    pure = max(exchange - figures.straggling, 0.0)
    return Point(figures.ranks, figures.data, compute, max(other, 0.0), figures.straggling, pure)


def _steps(events: Sequence[dict[str, Any]]) -> np.ndarray:
    """Seconds, [steps, 7]: step with data, data, backward, its operator, update, its operator, agreement.

    Without the first, which compiles, and of the first epoch only; raises LookupError when there is no other. Ranks
    agree after a step, when it is one of those that are done.
    """
    names = ("step", "data", "backward", "update", "agreement")
    spans: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in names}
    for event in events:
        if event["name"] in spans and event["args"]["epoch"] == 0:
            spans[event["name"]][event["args"]["step"] - (event["name"] == "agreement")] = event
    if len(spans["step"]) < 2:
        raise LookupError("one step only, which compiles: give more images")
    rows = []
    for step in sorted(spans["step"])[1:]:
        of = {name: spans[name].get(step, {"dur": 0.0, "args": {}}) for name in names}
        whole, data, backward, update, agreement = (of[name]["dur"] / 1e6 for name in names)
        own, own_update = (of[name]["args"].get("computing", 0.0) for name in ("backward", "update"))
        rows.append((whole + data, data, backward, own, update, own_update, agreement))
    return np.array(rows)


def _wait(command: Sequence[str], log: Path, limit: float) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    with open(log, "wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, cwd=ROOT, env=environment, start_new_session=True
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            raise RunError(f"not done in {limit:.0f} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
        named = [line for line in lines if line.startswith("yolo.train: ")]
        raise RunError((named or [line for line in lines if line] or [f"exit code {code}"])[-1][:300])
