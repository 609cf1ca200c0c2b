"""The same command typed twice on one port: each job ends right, or is refused soon by the name of the other."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.distributed.rendezvous.meetings import together
from tests.launched import ROOT, free_port, launch
from tests.train.samples import Workshop

WITHIN = 30.0
"""Seconds in which a refusal comes."""
ENDS_WITHIN = 120.0


class Job:
    """Two ranks that train."""

    def __init__(self, port: int, argv: Sequence[str]) -> None:
        launcher = [sys.executable, "-m", "oneflow.distributed.launch", "--nproc_per_node", "2"]
        self._said = tempfile.TemporaryFile("a+")  # noqa: SIM115
        self._begin = time.monotonic()
        self._process = subprocess.Popen(
            [*launcher, "--master_port", str(port), "-m", "yolo.train", *argv],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,
        )

    def end(self) -> tuple[int, float, str]:
        """Exit code, seconds, what it said."""
        try:
            code = self._process.wait(ENDS_WITHIN)
            seconds = time.monotonic() - self._begin
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._said.seek(0)
        return code, seconds, self._said.read()


def ends_well(found: tuple[int, float, str], weights: Path) -> bool:
    """Whether it ended right; else it was refused, in time and by name, or the test fails."""
    code, seconds, text = found
    if code == 0:
        assert weights.is_file(), text
        return True
    line = text.splitlines()[-1]
    who = r"another job \(process \d+ of user \S+\)"
    refusals = rf"port \d+ is in use: {who} has it|rank 0 at \S+ is of another job: {who} has port \d+"
    assert re.fullmatch(rf"yolo\.train: ranks: ({refusals}); give another port: .* --master_port \d+ …", line), text
    assert seconds < WITHIN and not weights.exists()
    return False


def pair(shop: Workshop, number: int, offset: float) -> list[bool]:
    """Which of two jobs ended well, of which the second one starts so many seconds later."""
    port, names = free_port(), (f"first{number}", f"second{number}")

    def run(name: str, delay: float) -> tuple[int, float, str]:
        time.sleep(delay)
        return Job(port, shop.argv(name, "--noplots", epochs="1")).end()

    ends = together([lambda: run(names[0], 0.0), lambda: run(names[1], offset)])
    good = [ends_well(end, shop.folder / f"runs/{name}/weights/last.safetensors") for end, name in zip(ends, names)]
    told = ", ".join(f"{'right' if well else 'refused'} in {end[1]:.1f} s" for well, end in zip(good, ends))
    print(f"{offset:.2f} s apart: {told}", flush=True)
    return good


@pytest.mark.stress
@pytest.mark.timeout(1800)
def test_twenty_pairs_of_jobs_on_one_port(tmp_path: Path) -> None:
    shop = Workshop.make(tmp_path)
    for number, offset in enumerate(np.linspace(0.0, 3.0, 20)):
        assert any(pair(shop, number, float(offset)))


STARTING = """
import os, sys, time
from yolo import runtime
from yolo.distributed import process_group
from yolo.distributed.ranks import Ranks
process_group.ONEFLOW_SECONDS = 15.0
with process_group.join_group(Ranks.of()) as group:
    if os.environ["RANK"] == sys.argv[1]:
        with process_group.starting_oneflow(group):
            runtime.select_device("cpu", group.ranks)
    time.sleep(60)  # the other one never starts it
"""


@pytest.mark.stress
@pytest.mark.parametrize("rank", ["0", "1"])
def test_oneflow_that_finds_no_other_rank_ends_all(tmp_path: Path, rank: str) -> None:
    (tmp_path / "starting.py").write_text(STARTING)
    done = launch([str(tmp_path / "starting.py"), rank], 2, seconds=50)
    line = (
        rf"^yolo: rank {rank} \(\S+ \d+\): OneFlow has not connected the ranks at port \d+ within 15 s; let no firewall"
    )
    assert done.returncode == 1 and len(re.findall(line, done.stderr, re.MULTILINE)) == 2, done.stderr
