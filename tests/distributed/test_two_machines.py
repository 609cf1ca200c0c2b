"""Two machines train and validate as one with two ranks does; when nothing is heard of one, the other ends, too."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.launched import launch
from tests.machines import Machine, two_machines
from tests.train.samples import Workshop, run
from yolo import val
from yolo.models.weights.load import load_weights

ADDRESSES = ("10.77.0.1", "10.77.0.2")
OPTIONS = {"epochs": "20", "batch_size": "6"}
FLAGS = ("--sync-bn", "--noplots", "--exist-ok")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # what the launcher gives ranks of one machine; these share its cores

pytestmark = pytest.mark.slow


class Launched:
    """A program as one rank of a machine, one of two."""

    def __init__(self, machine: Machine, node: int, program: Sequence[str]) -> None:
        command = [sys.executable, "-m", "oneflow.distributed.launch", "--nproc_per_node", "1", "--nnodes", "2"]
        command += ["--node_rank", str(node), "--master_addr", ADDRESSES[0], "--master_port", "29500", *program]
        self._stderr = tempfile.TemporaryFile("a+")  # noqa: SIM115
        self.process = machine.start(command, environment=ONE_THREAD, stderr=self._stderr)

    def wait(self, seconds: float) -> str:
        """What it said on stdout."""
        return self.process.communicate(timeout=seconds)[0]

    def text(self) -> str:
        """How it ended, and what it has said on stderr."""
        self._stderr.seek(0)
        return f"{self._stderr.read()}[exit {self.process.returncode}]"


def start(machines: Sequence[Machine], program: Sequence[str]) -> list[Launched]:
    return [Launched(machine, node, program) for node, machine in enumerate(machines)]


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    with contextlib.ExitStack() as end:
        try:
            both = end.enter_context(two_machines(ADDRESSES))
        except PermissionError as error:
            pytest.skip(f"no machines can be made here: {error}")
        yield both


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """With the run of two ranks on one machine."""
    shop = Workshop.make(tmp_path_factory.mktemp("machines"), train=12, val=11)
    done = launch(["-m", "yolo.train", *shop.argv("whole", *FLAGS, **OPTIONS)], 2)
    assert done.returncode == 0, done.stderr[-3000:]
    return shop


def assert_same(run: Path, whole: Path) -> None:
    """To the last bit."""
    found, expected = (load_weights(folder / "weights/last.safetensors").model for folder in (run, whole))
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }
    assert (run / "results.csv").read_text() == (whole / "results.csv").read_text()


def test_two_machines_are_as_two_ranks_of_one(shop: Workshop, machines: tuple[Machine, Machine]) -> None:
    ranks = start(machines, ["-m", "yolo.train", *shop.argv("apart", *FLAGS, **OPTIONS)])
    for rank in ranks:
        rank.wait(240)
        assert rank.process.returncode == 0, rank.text()[-3000:]
    assert_same(shop.folder / "runs/apart", shop.folder / "runs/whole")

    weights = str(shop.folder / "runs/whole/weights/best.safetensors")
    options = {"--data": str(shop.data), "--weights": weights, "--imgsz": "64", "--batch-size": "2", "--name": "val"}
    options |= {"--project": str(shop.folder / "val"), "--workers": "1", "--device": "cpu"}
    argv = [*(word for pair in options.items() for word in pair), "--json", "--noplots"]
    alone = run(val.main, argv, shop.folder / "val")
    ranks = start(machines, ["-m", "yolo.val", *argv])
    out = [rank.wait(120) for rank in ranks]
    assert [rank.process.returncode for rank in ranks] == [0, 0], [rank.text() for rank in ranks]
    found, expected = json.loads(out[0].splitlines()[-1]), json.loads(alone.out)
    for part in ("metrics", "per_class"):
        assert found[part] == expected[part], part
    assert out[1] == "" and [machine.processes() for machine in machines] == [[], []]


def test_a_pulled_cable_ends_both_and_one_machine_goes_on(shop: Workshop, machines: tuple[Machine, Machine]) -> None:
    folder = shop.folder / "runs/pulled"
    ranks = start(machines, ["-m", "yolo.train", *shop.argv("pulled", *FLAGS, **OPTIONS)])
    while not (folder / "weights/last.safetensors").exists():
        assert all(rank.process.poll() is None for rank in ranks), [rank.text() for rank in ranks]
        time.sleep(0.01)
    assert all(len(machine.processes()) >= 2 for machine in machines)  # a launcher and a rank
    machines[0].deed("down")
    for rank in ranks:
        rank.wait(120)
        assert rank.process.returncode == 1, rank.text()
    for number, rank in enumerate(ranks):
        text, lost = rank.text(), 1 - number
        assert f"rank {lost} (" in text and re.search(r"has said nothing for \d+ s: stopped, or cut off", text), text
        assert f"rank {number} ends, as all ranks do. The newest checkpoint is " in text
        assert f"start again with --resume {folder}" in text
    assert [machine.processes() for machine in machines] == [[], []]
    assert load_weights(folder / "weights/last.safetensors").training is not None
    done = launch(["-m", "yolo.train", "--resume", str(folder)], 2)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same(folder, shop.folder / "runs/whole")
