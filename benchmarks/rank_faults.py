"""Random faults in training runs of two ranks: does each end soon, by name, with nothing left, and go on exactly?"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rank_run import ENDS_WITHIN, RankRun, equal, resumed
from benchmarks.table import Row, as_json, as_text
from tests.train.samples import Workshop
from yolo.models.weights.load import load_weights

KINDS = ("SIGKILL", "SIGSTOP", "full disk")
MOMENTS = ("start-up", "training", "saving")
OPTIONS = {"epochs": "10", "batch_size": "6"}
FLAGS = ("--sync-bn", "--noplots", "--exist-ok")
DISK = 16 << 20  # bytes
COLUMNS = {
    "name": "Fault", "rank": "Rank", "moment": "Moment", "after_s": "After s", "ended_s": "Ended in s",
    "named": "Rank named", "advised": "How to go on", "whole": "Checkpoint", "left": "Left behind", "equal": "Equal",
}  # fmt: skip


def main() -> int:
    """Print a row a fault; exit with 1 when one of them does not hold what is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further fault after so many")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        disk = mount(place / "disk")
        try:
            rows = run_all(place, disk, options.faults, np.random.default_rng(options.seed), begin + options.seconds)
        finally:
            if disk == "tmpfs":
                subprocess.run(["umount", "--lazy", place / "disk"], check=False)
    good = sum(row["ours"] for row in rows)
    if options.json:
        print(as_json(rows, faults=len(rows), good=good, disk=disk))
    else:
        print(as_text(f"{good} of {len(rows)} faults ended well; full disk by {disk}", rows, COLUMNS))
    return 0 if good == len(rows) else 1


def mount(place: Path) -> str:
    """A small file system of memory, where that is permitted; else files may not grow: say which."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    return "RLIMIT_FSIZE" if subprocess.run(command, capture_output=True).returncode else "tmpfs"


def run_all(place: Path, disk: str, faults: int, rng: np.random.Generator, until: float) -> list[Row]:
    """So many faults, fewer when the time is up; each in a run of its own."""
    shop, rows = Workshop.make(place, train=12), []
    whole = RankRun(shop.argv("whole", *FLAGS, **OPTIONS), place / "runs/whole")
    first = whole.wait_for_checkpoint()
    total = whole.wait(300.0)
    if total is None or whole.code:
        raise SystemExit(f"the uninterrupted run failed:\n{whole.text()}")
    while len(rows) < faults and time.monotonic() < until:
        kind, moment = str(rng.choice(KINDS)), str(rng.choice(MOMENTS))
        rank = 0 if kind == "full disk" else int(rng.integers(2))
        after = rng.uniform(0, first) if moment == "start-up" else rng.uniform(0, max(total - first, 0.1))
        name = f"fault{len(rows)}"
        run = RankRun(shop.argv(name, *FLAGS, **{**OPTIONS, "project": str(place / "disk")}), place / "disk" / name)
        row: Row = {"name": kind, "rank": rank, "moment": moment, "after_s": round(float(after), 2)}
        try:
            if strike(run, row, disk) and (found := judge(run, row, place / "runs/whole")):
                rows.append(row | found)
                print(rows[-1], file=sys.stderr, flush=True)
        finally:
            run.clear()
    return rows


def strike(run: RankRun, row: Row, disk: str) -> bool:
    """Let the fault happen when its moment has come; False when the run was over before it did."""
    if row["moment"] != "start-up":
        run.wait_for_checkpoint()
    time.sleep(row["after_s"])
    if row["moment"] == "saving":
        run.wait_for_saving()
    process = run.process(row["rank"])
    if process is None:
        run.wait(ENDS_WITHIN)
        return False
    if row["name"] == "full disk":
        run.fill(process, DISK if disk == "tmpfs" else 0)
    else:
        os.kill(process, getattr(signal, row["name"]))
    return True


def judge(run: RankRun, row: Row, whole: Path) -> dict[str, Any] | None:
    """What is to be said of a run after its fault, the run that goes on included; None where it needed nothing more."""
    ended = run.wait(ENDS_WITHIN)
    text, left = run.text(), len(run.processes())
    if ended is not None and not left and "\nweights: " in text and equal(run.folder, whole):
        return None
    if ended is not None and run.code == 0:
        return {"ended_s": round(ended, 1), "ours": False, "note": "the run did not notice"}
    run.clear(processes=True)
    last = run.folder / "weights/last.safetensors"
    found = {
        "ended_s": None if ended is None else round(ended, 1),
        "named": named(text, row["rank"]),
        "advised": advised(text, began=last.exists()),
        "whole": state_of(last),
        "left": left,
        "equal": resumed(run, whole),
    }
    good = ended is not None and not left and found["whole"] != "broken"
    good = good and found["named"] == "ranks" and found["advised"] and found["equal"]
    if not good:
        print(text, file=sys.stderr)
    return {**found, "ours": good, "note": None if good else "its words are on stderr"}


def named(text: str, rank: int) -> str:
    """Who says on stderr that this rank is lost: "ranks", "launcher", which names none, or nobody ("")."""
    numbers = rf"(\d+, )*{rank}(, \d+)*"
    said = (
        rf"^yolo: rank {rank} \(\S+ \d+\)( is gone: | has said nothing for |: )",
        rf"^yolo: rank \d+ is told to end while it still waits for rank {numbers}\. ",
        rf"^yolo\.train: ranks: (of \d+ ranks these did not connect within \d+ s: {numbers}|rank \d+ .* rank {rank}\b)",
    )
    if any(re.search(line, text, re.MULTILINE) for line in said):
        return "ranks"
    return "launcher" if "died with <Signals." in text else ""


def advised(text: str, *, began: bool) -> bool:
    """Whether it says what to type; ``began``: there is a checkpoint to go on from."""
    again = "Start the command again." in text or "; start all ranks with " in text
    return "start again with --resume" in text or (again and not began)


def state_of(last: Path) -> str:
    """Of the newest checkpoint: whole, broken, or none yet."""
    if not last.exists():
        return "none yet"
    try:
        return "broken" if load_weights(last).training is None else "whole"
    except Exception:
        return "broken"


if __name__ == "__main__":
    sys.exit(main())
