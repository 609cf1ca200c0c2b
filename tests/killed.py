"""Runs of the train command in processes of their own that end themselves by SIGKILL at a moment that can be chosen.

``python -m tests.killed MOMENT NUMBER OPTION…``: MOMENT is one of ``MOMENTS``, and the process ends when it comes for
the NUMBER-th time; "calls" counts all calls of functions, Python's and C's, from the start of training on. With NUMBER
0 nothing is killed, and the last line of stdout is how many calls there were.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run_killed(moment: str, number: int, options: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run it; the return code is -9 when the moment came."""
    argv = [sys.executable, "-m", "tests.killed", moment, str(number), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300)


class Killer:
    """Counts, and kills this process at ``number``."""

    def __init__(self, number: int) -> None:
        self.number, self.count = number, 0

    def __call__(self, *_: object) -> None:
        self.count += 1
        if self.count == self.number:
            os.kill(os.getpid(), signal.SIGKILL)


def before(owner: object, name: str, killer: Killer) -> None:
    """Count the calls of ``owner.name``, each before it begins."""
    usual = getattr(owner, name)

    def counted(*arguments, **options):
        killer()
        return usual(*arguments, **options)

    setattr(owner, name, counted)


def _half_a_file(killer: Killer) -> None:
    """Count files of weights when half of their bytes are written."""
    from yolo.models.weights import safetensors_io

    usual = safetensors_io.save_file

    def save(tensors, path, metadata):
        usual(tensors, path, metadata=metadata)
        content = Path(path).read_bytes()
        Path(path).write_bytes(content[: len(content) // 2])
        killer()
        Path(path).write_bytes(content)

    safetensors_io.save_file = save


def _row(killer: Killer) -> None:
    """Count lines of results.csv: written, but the checkpoint that knows of them is not."""
    from yolo.engine.hooks.checkpoints import Checkpoints

    before(Checkpoints, "after_epoch", killer)


def _put(killer: Killer) -> None:
    """Count files that are whole, but not yet at their place."""
    before(os, "replace", killer)


def _step(killer: Killer) -> None:
    """Count updates of the weights."""
    from yolo.engine.train_step import TrainStep

    before(TrainStep, "update", killer)


def _calls(killer: Killer) -> None:
    from yolo.engine.trainer import Trainer

    usual = Trainer.train

    def train(self: Trainer) -> None:
        sys.setprofile(lambda frame, event, argument: killer() if event in ("call", "c_call") else None)
        try:
            usual(self)
        finally:
            sys.setprofile(None)

    Trainer.train = train


MOMENTS: dict[str, Callable[[Killer], None]] = {
    "half-a-file": _half_a_file,
    "row": _row,
    "put": _put,
    "step": _step,
    "calls": _calls,
}


def main() -> int:
    from yolo import runtime

    runtime.start()
    from yolo import train

    moment, number, *options = sys.argv[1:]
    killer = Killer(int(number))
    MOMENTS[moment](killer)
    code = train.main(options)
    print(killer.count)
    return code


if __name__ == "__main__":
    sys.exit(main())
