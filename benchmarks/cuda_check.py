"""Tests and measures what runs on a GPU, in at most 8 minutes: `make cuda-check`, on the day when one is at hand.

python -m benchmarks.cuda_check [--out FOLDER]: one line a part, JSON and logs in the folder. Needs no network, but the
working tree with built modules, and this Python's packages. Exit status 1 where a part failed, 2 where none ran.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cuda_needs import absent, sanitizer
from benchmarks.places import PARITY, ROOT, WORK, cuda_peers_python

LIMIT_S = 480.0
"""Of all parts together; what they have left goes to the last one."""

SANITIZED = ("--error-exitcode", "9", "--report-api-errors", "no", "--kernel-name", "kns=yolo")
"""Of compute-sanitizer: kernels of this project alone, whose names are in its namespace; cuDNN's would take minutes."""


@dataclasses.dataclass(frozen=True)
class Part:
    """A command in a process of its own. needs: names of ``cuda_needs`` without which it is skipped; json: its standard
    output is a table's, not a log's; least_s: with less time left it is skipped."""

    name: str
    budget_s: float
    command: Sequence[str]
    needs: Sequence[str] = ()
    json: bool = False
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    least_s: float = 5.0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """state: passed, failed or skipped; told: what there is to say of it, one line."""

    part: Part
    state: str
    seconds: float
    told: str

    def __str__(self) -> str:
        time_of_it = f"{self.seconds:4.0f} s of {self.part.budget_s:3.0f}"
        return f"{self.state:<8} {self.part.name:<10} {time_of_it}  {self.told}"


def main() -> int:
    """Say what is missing, run all parts, report."""
    begin = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=WORK / "cuda_check", help="folder of tables and logs")
    parser.add_argument("--peers", type=Path, default=cuda_peers_python(), help="a Python that has PyTorch for GPUs")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    missing = absent(options.peers)
    for name, how in missing.items():
        print(f"missing: {name}: {how}", flush=True)
    return report(run_all(parts(options.peers, "oneflow" in missing), missing, options.out, begin))


def parts(peers: Path, without_oneflow: bool) -> list[Part]:
    """All of them, in order. Their budgets add up to ``LIMIT_S`` with the search for what is missing."""
    measured = ("packages", "module", "gpu", "cudnn")
    checked = (*measured, "sanitizer", "weights")
    small = [*SANITIZED, *_python("cuda_small", str(PARITY / "weights" / "yolov5n.pt"))]
    there = ["--json", "--peers", str(peers)]
    checker = sanitizer() or "compute-sanitizer"
    several = ["-n", "4", "--dist", "loadfile"] if importlib.util.find_spec("xdist") else []
    tests = ["-q", "--tb=short", "-o", "timeout=60", "-p", "no:cacheprovider", "-m", "not slow and not stress"]
    pytest = [sys.executable, "-m", "pytest", *several, *tests, *test_files(without_oneflow)]
    short = ["--models", "yolov5s", "--precisions", "fp16", *there]
    operators = _python("cuda_ops", "--sizes", "short", "--rounds", "3", *there)
    inference = _python("cuda_inference", "--no-compile", "--batches", "1", "8", "--rounds", "15", *short)
    compiled = _python("cuda_inference", "--batches", "1", "--rounds", "15", *short)
    step = _python("cuda_step", "--no-compile", "--rounds", "8", *short)
    networks = (*measured, "weights")
    return [
        Part("device", 20, _python("cuda_needs", "--peers", str(peers)), ("module", "gpu"), json=True),
        Part("tests", 100, pytest, (*measured, "pytest"), environment={"YOLO_TEST_CUDA": "1"}),
        Part("memcheck", 45, [checker, "--tool", "memcheck", *small], checked),
        Part("racecheck", 45, [checker, "--tool", "racecheck", *small], checked),
        Part("operators", 80, operators, measured, json=True),
        Part("inference", 60, inference, networks, json=True),
        Part("step", 60, step, networks, json=True),
        Part("compiled", 50, compiled, (*networks, "torch"), json=True, least_s=50),
    ]


def _python(module: str, *words: str) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.{module}", *words]


def test_files(without_oneflow: bool) -> list[str]:
    """The tests that make sense on a GPU; without OneFlow those that do not import it."""
    files = [*ROOT.glob("tests/ops/cuda/test_*.py"), *ROOT.glob("tests/program/cuda/test_*.py")]
    names = sorted(str(path.relative_to(ROOT)) for path in files)
    return [name for name in names if not without_oneflow or _imports_without_oneflow(name)]


def _imports_without_oneflow(name: str) -> bool:
    module = name.removesuffix(".py").replace("/", ".")
    code = f"import sys; sys.modules['oneflow'] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=60, check=False)
    return done.returncode == 0


def run_all(parts: Sequence[Part], missing: Mapping[str, str], out: Path, begin: float) -> list[Outcome]:
    """One after the other, each printed when it is done. begin: when the limit's time began; what parts leave of theirs
    is the last one's."""
    found = []
    for number, part in enumerate(parts):
        spent = time.monotonic() - begin
        last = number == len(parts) - 1
        limit = LIMIT_S - spent if last else min(part.budget_s, LIMIT_S - spent)
        lacks = next((name for name in part.needs if name in missing), None)
        if lacks is not None:
            outcome = Outcome(part, "skipped", 0.0, f"without {lacks}")
        elif limit < part.least_s:
            outcome = Outcome(part, "skipped", 0.0, "no time is left for it")
        else:
            outcome = run(part, limit, out)
        print(outcome, flush=True)
        found.append(outcome)
    return found


def run(part: Part, limit: float, out: Path) -> Outcome:
    """A part with its output in ``out``; its processes are ended when its time is up."""
    begin = time.monotonic()
    log, table = out / f"{part.name}.log", out / f"{part.name}.json"
    with open(log, "wb") as errors, open(table if part.json else log, "ab" if not part.json else "wb") as answers:
        process = subprocess.Popen(
            part.command,
            stdout=answers,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **part.environment},
            start_new_session=True,
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    seconds = time.monotonic() - begin
    if code is None:
        return Outcome(part, "failed", seconds, f"not done in {limit:.0f} s; {log}")
    told = _told(table) if part.json else _last_line(log)
    if code:
        return Outcome(part, "failed", seconds, f"{told} (status {code}; {log})")
    return Outcome(part, "passed", seconds, told)


def report(found: Sequence[Outcome]) -> int:
    """A line for all together; 1 where one failed, 2 where none ran."""
    count = {state: sum(outcome.state == state for outcome in found) for state in ("passed", "failed", "skipped")}
    total = sum(outcome.seconds for outcome in found)
    print(", ".join(f"{number} {state}" for state, number in count.items()) + f", {total:.0f} s of {LIMIT_S:.0f}")
    return 1 if count["failed"] else 0 if count["passed"] else 2


def _told(table: Path) -> str:
    """Of a benchmark's JSON: wrong results and missing contenders, and the targets with what was measured."""
    try:
        answer = json.loads(table.read_text(encoding="utf-8"))
    except ValueError:
        return "no table came out"
    rows = answer.get("rows")
    if rows is None:
        return ", ".join(f"{name} {text}" for name, text in answer.items())
    wrong = sum(row.get("equal") is False for row in rows)
    noted = sum(bool(row.get("note")) for row in rows)
    aimed = [row for row in rows if row.get("met") is not None]
    return "; ".join([f"{len(rows)} rows, {wrong} wrong, {noted} not measured", *map(_target, aimed)])


def _target(row: Mapping[str, Any]) -> str:
    ratio = row["peer_ratio"] if "peer_ratio" in row else row["eager_ratio"]
    most = f"{row.get('case') or row['model']} {ratio:.2f} of {row['target_ratio']}"
    return most if row["met"] else f"{most} NOT MET"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip()[:160] for line in reversed(lines) if line.strip()), "no output")


if __name__ == "__main__":
    sys.exit(main())
