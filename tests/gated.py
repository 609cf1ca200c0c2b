"""The train command as ranks of which the last one waits at a gate: ``python -m tests.gated STEP GATE OPTION…``.

Before the STEP-th step of its process, from 1, it makes the file GATE and goes on when that is gone; the others wait
for it within the step. So a test acts at a moment that it knows, however slow the machine is. Ranks that nothing is
heard of are lost after ``PATIENCE`` seconds.
"""

from __future__ import annotations

if __name__ == "__main__":  # as the command itself begins
    from yolo.stops import run

    run("tests.gated", ranks=True)

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 8.0
"""Less than the command's, which a test would spend waiting. A thread of the library's own is heard of all the time."""


def gated(step: int, gate: Path) -> list[str]:
    """The launcher's words for it; those of the train command come behind them."""
    return ["-m", "tests.gated", str(step), str(gate)]


def wait_at(gate: Path, run: Path, end: Callable[[], str]) -> None:
    """Until the last rank is at the gate and the run has a checkpoint. ``end``: what was said by a run that is over."""
    while not (gate.exists() and (run / "weights/last.safetensors").exists()):
        assert not (said := end()), said
        time.sleep(0.01)


def main() -> int:
    from yolo import runtime, train
    from yolo.distributed import process_group

    step, gate, options = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    process_group.PATIENCE_SECONDS = PATIENCE
    usual = runtime.select_device

    def select_device(*arguments: object, **options: object) -> str:
        device = usual(*arguments, **options)  # OneFlow has started: its users may be imported
        if int(os.environ["RANK"]) == int(os.environ["WORLD_SIZE"]) - 1:
            _close(step, gate)
        return device

    runtime.select_device = select_device
    return train.main(options)


def _close(step: int, gate: Path) -> None:
    from yolo.engine.train_step import TrainStep

    backward, left = TrainStep.backward, iter(range(step - 1, -1, -1))

    def waiting(self: TrainStep, batch: object) -> object:
        if next(left, -1) == 0:
            gate.touch()
            while gate.exists():
                time.sleep(0.01)
        return backward(self, batch)

    TrainStep.backward = waiting
