"""The train command on several ranks: as on one, refused in one line, ended together, resumed with any number."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.launched import ROOT, free_port, launch
from tests.train.samples import Workshop, make_data
from yolo.models.weights.load import load_weights
from yolo.plots.results import read_results

SYNCED = ("--sync-bn", "--noplots", "--exist-ok")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("ranks"), train=12)


def ranked(shop: Workshop, ranks: int, name: str, *flags: str, **instead: str) -> subprocess.CompletedProcess:
    return launch(["-m", "yolo.train", *shop.argv(name, *flags, **instead)], ranks)


def model(shop: Workshop, name: str, kind: str = "last") -> dict[str, np.ndarray]:
    return load_weights(shop.folder / f"runs/{name}/weights/{kind}.safetensors").model


def refusal(done: subprocess.CompletedProcess) -> str:
    """The command's only line of its kind, the last of all: no launcher's traceback comes behind it."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("yolo.train: ")]
    assert lines == done.stderr.splitlines()[-1:], done.stderr
    return lines[0].removeprefix("yolo.train: ")


@pytest.mark.slow
@pytest.mark.covers("train", "sync_bn", "log_ranks")
def test_two_ranks_train_as_one_does(shop: Workshop) -> None:
    """Compiled; tests/engine/test_ranks.py has the steps of plain modules as well. Batches of six and four images."""
    options = {"batch_size": "6", "data": str(make_data(shop.folder / "ten", train=10))}
    alone = shop.train("alone", "--noplots", "--exist-ok", **options)
    assert alone.code == 0, alone.err
    done = ranked(shop, 2, "together", *SYNCED, "--log-ranks", "1", **options)
    assert done.returncode == 0, done.stderr[-3000:]
    expected, found = model(shop, "alone"), model(shop, "together")
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-6, err_msg=name)
    one, two = (read_results(shop.folder / f"runs/{name}/results.csv") for name in ("alone", "together"))
    for column, values in one.items():
        np.testing.assert_allclose(two[column], values, rtol=1e-3, err_msg=column)
    assert "[rank 1] 10 training images, 6 validation images" in done.stderr  # 10 is the whole set
    for half in (3, 2):  # of the batch each, both speak
        assert done.stderr.count(f"compiled the training graph for {half}x3x64x64") == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "instead, said",
    [
        (
            {"batch_size": "5"},
            "--batch-size: 5 images do not divide among 2 ranks; give a multiple of 2, such as 4",
        ),
        ({"data": "nowhere.yaml"}, "nowhere.yaml: no such data set file"),
        ({"device": "96,97"}, "--device 96,97: "),
    ],
)
def test_what_is_wrong_on_all_ranks_is_said_once(shop: Workshop, instead: dict[str, str], said: str) -> None:
    done = ranked(shop, 2, "refused", **instead)
    assert done.returncode != 0 and refusal(done).startswith(said)
    assert not (shop.folder / "runs/refused").exists()


@pytest.mark.slow
def test_a_port_in_use_is_named(shop: Workshop) -> None:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        environment = {**os.environ, "RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "PYTHONPATH": str(ROOT)}
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        command = [sys.executable, "-m", "yolo.train", *shop.argv("port")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    line = f"ranks: port {port}: Address already in use; give another port: python -m oneflow.distributed.launch "
    assert refusal(done).startswith(line)


def rank_process(folder: Path, rank: int) -> int:
    """The process of a rank of the run that trains into ``folder``."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"RANK={rank}".encode() in environment and str(folder).encode() in words and b"-u" in words:
            return int(process.name)
    raise AssertionError(f"no process of rank {rank}")


@pytest.fixture(scope="module")
def whole(shop: Workshop) -> Path:
    """The folder of a run of two ranks that nothing is done to."""
    done = ranked(shop, 2, "whole", *SYNCED, epochs="12", batch_size="6")
    assert done.returncode == 0, done.stderr[-3000:]
    return shop.folder / "runs/whole"


@pytest.mark.slow
@pytest.mark.parametrize(
    "number, said, ranks", [(signal.SIGKILL, "is gone", 2), (signal.SIGSTOP, "has said nothing for", 3)]
)
def test_a_lost_rank_ends_all_and_the_run_goes_on(
    shop: Workshop, whole: Path, tmp_path: Path, number: int, said: str, ranks: int
) -> None:
    argv = shop.argv("lost", *SYNCED, epochs="12", batch_size="6", project=str(tmp_path))
    run = tmp_path / "lost"
    command = [sys.executable, "-m", "oneflow.distributed.launch", "--nproc_per_node", "2"]
    process = subprocess.Popen(
        [*command, "--master_port", str(free_port()), "-m", "yolo.train", *argv],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    while not (run / "weights/last.safetensors").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    os.kill(rank_process(tmp_path, 1), number)
    _, text = process.communicate(timeout=240)
    assert process.returncode != 0
    assert "rank 1 (" in text and said in text and "rank 0 ends, as all ranks do." in text
    assert f"start again with --resume {run}" in text
    with pytest.raises(AssertionError, match="no process"):
        rank_process(tmp_path, 1)
    resumed = launch(["-m", "yolo.train", "--resume", str(run)], ranks)
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    expected, found = model(shop, "whole"), load_weights(run / "weights/last.safetensors").model
    for name, array in expected.items():  # exact with as many ranks as before
        np.testing.assert_allclose(found[name], array, rtol=0 if ranks == 2 else 1e-3, atol=0 if ranks == 2 else 1e-5)
    if ranks == 2:
        assert (run / "results.csv").read_text() == (whole / "results.csv").read_text()
