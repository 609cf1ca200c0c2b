"""Whatever ends the launcher asks its ranks to stop: after the step, with a checkpoint, and none of them stays."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from benchmarks.rank_run import RankRun, resumed
from tests.train.samples import Workshop
from yolo.models.weights.load import load_weights

OPTIONS = {"epochs": "24", "batch_size": "6"}
FLAGS = ("--sync-bn", "--noplots", "--exist-ok")
LONG = 240.0
"""Seconds behind which it hangs. How soon a run ends is measured by benchmarks.rank_faults."""


def ctrl_c(run: RankRun) -> None:
    os.killpg(run.launcher, signal.SIGINT)  # as a terminal does it


def terminate(run: RankRun) -> None:
    os.kill(run.launcher, signal.SIGTERM)


def kill(run: RankRun) -> None:
    os.kill(run.launcher, signal.SIGKILL)


def wait_for_training(run: RankRun, before: int) -> None:
    """Until there is a checkpoint, and it is not the one of ``before``."""
    run.wait_for_checkpoint()
    last = run.folder / "weights/last.safetensors"
    while run.code is None and last.stat().st_mtime_ns == before:
        time.sleep(0.01)


@pytest.mark.slow
def test_a_run_that_is_stopped_three_times_ends_as_one_that_is_not(tmp_path: Path) -> None:
    shop, runs = Workshop.make(tmp_path, train=12), tmp_path / "runs"
    whole = RankRun(shop.argv("whole", *FLAGS, **OPTIONS), runs / "whole")
    assert whole.wait(LONG) is not None and whole.code == 0, whole.text()
    run, folder, before = RankRun(shop.argv("stopped", *FLAGS, **OPTIONS), runs / "stopped"), runs / "stopped", 0
    try:
        for stop in (ctrl_c, terminate, kill):
            wait_for_training(run, before)
            stop(run)
            assert run.wait(LONG) is not None and run.code, (stop, run.text())
            text = run.text()
            assert text.count("yolo.train: stopped at epoch ") == 1, text
            assert text.count(f"go on with: python -m yolo.train --resume {folder}\n") == 1
            assert text.count("stopping after this step") == 1 and "ends, as all ranks do" not in text
            for traceback in text.split("Traceback")[1:]:
                assert "oneflow/distributed/launch.py" in traceback and "yolo/" not in traceback, text  # the launcher's
            last = folder / "weights/last.safetensors"
            assert load_weights(last).training is not None and not list(last.parent.glob(".*"))
            before = last.stat().st_mtime_ns
            if stop is not kill:
                run = run.again()
        assert resumed(run, runs / "whole")
    finally:
        run.clear(processes=True)
