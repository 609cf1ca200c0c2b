"""What is left of a network's speed when others use the same cores: its own twin, or programs without rest?

python -m benchmarks.shared_cores [--json]; `make bench-peers` installs the others.

Every round runs each contender alone, beside a twin of its own, and beside one busy process a core, in turn.
With two processes on the same cores 2.0 times its time alone is a fair share.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.driver import ABSENT, Contender, ContenderError, Worker, confine, tell
from benchmarks.inference import contenders, prepare
from benchmarks.options import base_parser
from benchmarks.places import PARITY, WORK
from benchmarks.table import Row, as_json, as_text

WAYS = ("alone", "twin", "busy")
BUSY = """
import os
parent = os.getppid()
while os.getppid() == parent:  # a benchmark that is killed leaves nothing busy behind
    for _ in range(10_000_000):
        pass
"""
LEAD_S = 0.2
"""So much earlier than the one that is measured its twin begins, and so much later it ends."""
COLUMNS = {
    "name": "contender",
    "model": "model",
    "precision": "precision",
    "alone_ms": "alone ms",
    "alone_mean_ms": "mean ms",
    "twin_ms": "two at once ms",
    "twin_mean_ms": "mean ms",
    "twin_ratio": "x alone",
    "twin_mean_ratio": "x mean",
    "busy_ms": "beside busy ms",
    "busy_mean_ms": "mean ms",
    "busy_ratio": "x alone",
    "busy_mean_ratio": "x mean",
}


class Pair:
    """A contender and its twin."""

    def __init__(self, contender: Contender, log: Path) -> None:
        self.contender = contender
        self.ms: dict[str, list[float]] = {way: [] for way in WAYS}
        self.failure: str | None = None
        self._log = log
        self._workers: list[Worker] = []

    def load(self) -> None:
        """Start both and make them ready; raises ContenderError."""
        if not Path(self.contender.python).exists():
            raise ContenderError(ABSENT)
        for twin in range(2):
            self._workers.append(Worker(self.contender, self._log.with_suffix(f".{twin}.log")))
            self._workers[-1].ask("load", **self.contender.options)
            self._workers[-1].ask("run")

    def alone(self, seconds: float) -> list[float]:
        """Milliseconds of runs while the twin rests."""
        return self._workers[0].ask("series", seconds=seconds)["ms"]

    def twin(self, seconds: float) -> list[float]:
        """Milliseconds of runs while the twin runs."""
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(self._workers[1].ask, "series", seconds=seconds + 2 * LEAD_S)
            time.sleep(LEAD_S)
            found = self.alone(seconds)
            other.result()
        return found

    def close(self) -> None:
        """End both processes."""
        for worker in self._workers:
            worker.__exit__()


def main() -> int:
    """Measure and print; 2 where files are missing."""
    options = _parser().parse_args()
    confine(options.threads)
    rows: list[Row] = []
    every = prepare(options)
    if every is None:
        return 2
    for model, inputs in every.items():
        chosen = [c for c in contenders(inputs, options.threads) if _wanted(c, options.only)]
        pairs = measure(chosen, options.rounds, options.seconds, options.threads)
        rows += [as_row(model, pair) for pair in pairs]
    about = f"network alone, {options.size}x{options.size}, {options.threads} threads on {options.threads} cores"
    print(as_json(rows, size=options.size) if options.json else as_text(about, rows, COLUMNS))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = base_parser(__doc__, size=320, rounds=10)
    parser.set_defaults(models=["yolov5n"], only="no OneFlow fp32,onnxruntime fp32,OpenVINO fp32")
    parser.add_argument("--picture", type=Path, default=PARITY / "data" / "bus.jpg")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each way in each round")
    return parser


def _wanted(contender: Contender, words: str) -> bool:
    return any(word in f"{contender.name} {contender.precision}" for word in words.split(","))


def measure(
    chosen: Sequence[Contender], rounds: int, seconds: float, cores: int, folder: Path = WORK / "workers"
) -> list[Pair]:
    """Each contender, alone and not, for so many rounds behind one that does not count. ``folder`` takes logs."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs = []
    with _busy(cores) as (go, rest), contextlib.ExitStack() as stack:
        for number, contender in enumerate(chosen):
            tell(f"loading {contender.name}, twice")
            pairs.append(Pair(contender, folder / f"shared-{number}"))
            stack.callback(pairs[-1].close)
            _guarded(pairs[-1], pairs[-1].load)
        for number in range(rounds + 1):
            tell(f"round {number} of {rounds}")
            for pair in pairs:
                _guarded(pair, lambda: _round(pair, seconds, number > 0, go, rest))  # noqa: B023
    return pairs


def _round(pair: Pair, seconds: float, counted: bool, go: Callable, rest: Callable) -> None:
    found = {"alone": pair.alone(seconds), "twin": pair.twin(seconds)}
    go()
    try:
        time.sleep(LEAD_S)
        found["busy"] = pair.alone(seconds)
    finally:
        rest()
    if counted:
        for way, ms in found.items():
            pair.ms[way] += ms


def _guarded(pair: Pair, act: Callable[[], None]) -> None:
    if pair.failure is None:
        try:
            act()
        except (ContenderError, OSError) as error:
            pair.failure = str(error)


@contextlib.contextmanager
def _busy(cores: int) -> Iterator[tuple]:
    """Processes that never rest, one a core, stopped at first: the two functions let them go and stop them."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY], start_new_session=True) for _ in range(cores)]

    def send(what: signal.Signals) -> None:
        for process in processes:
            os.kill(process.pid, what)

    try:
        send(signal.SIGSTOP)
        yield lambda: send(signal.SIGCONT), lambda: send(signal.SIGSTOP)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def as_row(model: str, pair: Pair) -> Row:
    """Medians and means, and their ratios to those alone."""
    row: Row = {"name": pair.contender.name, "model": model, "precision": pair.contender.precision}
    row |= {"ours": pair.contender.ours, "note": pair.failure}
    for way, ms in pair.ms.items():
        if pair.failure is None:
            row[f"{way}_ms"], row[f"{way}_mean_ms"] = round(statistics.median(ms), 2), round(statistics.mean(ms), 2)
            for kind in ("", "_mean"):
                row[f"{way}{kind}_ratio"] = round(row[f"{way}{kind}_ms"] / row[f"alone{kind}_ms"], 2)
    return row


if __name__ == "__main__":
    sys.exit(main())
