"""Whatever ends the launcher asks its ranks to stop: after the step, with a checkpoint, and none of them stays."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.rank_run import RankRun, resumed
from tests.gated import gated, wait_at
from tests.two_ranks import words, workshop
from yolo.models.weights.load import load_weights

LONG = 240.0
"""Seconds behind which it hangs. How soon a run ends is measured by benchmarks.rank_faults."""


def ctrl_c(run: RankRun) -> None:
    os.killpg(run.launcher, signal.SIGINT)  # as a terminal does it


def terminate(run: RankRun) -> None:
    os.kill(run.launcher, signal.SIGTERM)


def kill(run: RankRun) -> None:
    os.kill(run.launcher, signal.SIGKILL)


def stop_in_a_step(run: RankRun, gate: Path, stop: Callable[[RankRun], None]) -> None:
    """One rank is about to begin the step and the other one waits for it when the launcher ends."""
    wait_at(gate, run.folder, lambda: "" if run.code is None else f"ended: {run.text()}")
    stop(run)
    while run.code is None:
        time.sleep(0.01)
    gate.unlink()


STOPS = (
    (ctrl_c, 3, "epoch 2, batch 1 of 2"),
    (terminate, 2, "epoch 3, batch 1 of 2"),
    (kill, 3, "epoch 4, batch 2 of 2"),
)
"""Each in a step of its process, and where that is in the run."""


@pytest.mark.slow
def test_a_run_that_is_stopped_three_times_ends_as_one_that_is_not(tmp_path: Path, undisturbed: Path) -> None:
    shop, folder, gate, run = workshop(tmp_path), tmp_path / "runs/stopped", tmp_path / "gate", None
    try:
        for stop, step, where in STOPS:
            program = gated(step, gate)
            run = run.again(program) if run else RankRun(words(shop, "stopped"), folder, program=program)
            stop_in_a_step(run, gate, stop)
            assert run.wait(LONG) is not None and run.code, (stop, run.text())
            text = run.text()
            assert text.count("yolo.train: stopped at ") == text.count(f"stopped at {where}; go on with: ") == 1, text
            assert text.count(f"go on with: python -m yolo.train --resume {folder}\n") == 1
            assert text.count("stopping after this step") == 1 and "ends, as all ranks do" not in text
            for traceback in text.split("Traceback")[1:]:
                assert "oneflow/distributed/launch.py" in traceback and "yolo/" not in traceback, text  # the launcher's
            last = folder / "weights/last.safetensors"
            assert load_weights(last).training is not None and not list(last.parent.glob(".*"))
        assert resumed(run, undisturbed)
    finally:
        if run:
            run.clear(processes=True)
