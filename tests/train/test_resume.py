"""A run that was stopped, by Ctrl-C or by SIGKILL, ends with the very bits of the one that was not."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.killed import run_killed
from tests.train.samples import QUICK, Done, Workshop, run, write_yaml
from tests.train.stopped import differences, interrupt
from yolo import train
from yolo.engine.train_step import TrainStep
from yolo.engine.trainer import Trainer
from yolo.io.files import held
from yolo.loggers.tensorboard import TensorBoard
from yolo.models.weights.load import load_weights

PROGRAM = "yolo.train"
OPTIONS = {"epochs": "6", "optimizer": "AdamW", "nbs": "200"}
"""Updates come after 1, 2, 4, 8 of 12 batches; what waits for one at an epoch's end is dropped, and still counted."""

PENDING = {1: 0, 6: 2, 9: 1}
"""Batches since the last update, by how many were seen."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    shop = Workshop.make(tmp_path_factory.mktemp("resume"))
    write_yaml(shop.hyp, {**QUICK, "mosaic": 0.5, "fliplr": 0.5, "scale": 0.5})
    return shop


def start(shop: Workshop, name: str, *flags: str, **instead: str) -> Done:
    return shop.train(name, "--noplots", *flags, **{**OPTIONS, **instead})


@pytest.fixture(scope="module")
def whole(shop: Workshop) -> Done:
    """Never stopped."""
    done = start(shop, "whole")
    assert done.code == 0, done.err
    return done


def resume(folder: Path, *flags: str) -> Done:
    return run(train.main, ["--resume", str(folder), *flags], folder)


@pytest.mark.covers("train", "resume")
@pytest.mark.parametrize(("step", "number"), [(1, signal.SIGINT), (6, signal.SIGINT), (9, signal.SIGTERM)])
def test_ctrl_c_finishes_the_step_and_says_how_to_go_on(
    shop: Workshop, whole: Done, monkeypatch: pytest.MonkeyPatch, step: int, number: int
) -> None:
    with monkeypatch.context() as patched:
        interrupt(patched, step, number)
        done = start(shop, f"stopped{step}")
    assert done.code == 128 + number and done.out == ""
    epoch, batch = (step - 1) // 2 + 1, (step - 1) % 2 + 1
    assert done.err.splitlines()[-1] == (
        f"yolo.train: stopped at epoch {epoch}, batch {batch} of 2; go on with: python -m yolo.train --resume "
        f"{done.folder}"
    )
    last = load_weights(done.folder / "weights/last.safetensors")
    assert last.meta["progress"]["step"] == step and last.meta["progress"]["pending"] == PENDING[step]
    again = resume(done.folder)
    assert again.code == 0, again.err
    assert f"resuming {done.folder} at epoch {epoch}, batch {batch + 1}" in again.err
    assert differences(done.folder, whole.folder) == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_that_is_at_work_is_left_alone(shop: Workshop, whole: Done) -> None:
    before = (whole.folder / "results.csv").read_bytes()
    with held(whole.folder, "", ""):
        line = resume(whole.folder).refusal("yolo.train")
        assert line == f"{whole.folder}: another training is at work here; wait for it, or give this one another --name"
    assert (whole.folder / "results.csv").read_bytes() == before


def test_ctrl_c_behind_the_last_step_is_not_lost(shop: Workshop, whole: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(TensorBoard, "after_train", lambda self, trainer: os.kill(os.getpid(), signal.SIGINT))
        done = start(shop, "at_the_end")
    assert done.code == 130 and done.out == ""
    line = f"yolo.train: stopped at the end; go on with: python -m yolo.train --resume {done.folder}"
    assert done.err.splitlines()[-1] == line
    again = resume(done.folder)
    assert again.code == 0 and again.out and differences(done.folder, whole.folder) == []


def test_a_table_that_is_gone_begins_anew(shop: Workshop, whole: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        interrupt(patched, 4)
        done = start(shop, "no_table")
    table = done.folder / "results.csv"
    table.unlink()
    again = resume(done.folder)
    assert again.code == 0 and f"{table} is gone: it begins anew at epoch 2" in again.err
    expected = (whole.folder / "results.csv").read_text().splitlines()
    assert table.read_text().splitlines() == [expected[0], *expected[2:]]


@pytest.mark.slow
def test_plain_modules_go_on_exactly_too(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = start(shop, "plain", epochs="3", compile="off", freeze="1")
    with monkeypatch.context() as patched:
        interrupt(patched, 3)
        done = start(shop, "plain_stopped", epochs="3", compile="off", freeze="1")
    assert (usual.code, done.code, resume(done.folder).code) == (0, 130, 0)
    assert differences(done.folder, usual.folder) == []


def test_a_second_ctrl_c_ends_it_at_once(shop: Workshop, whole: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    def sending(self: TrainStep, batch) -> np.ndarray:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("still running")

    with monkeypatch.context() as patched:
        patched.setattr(TrainStep, "backward", sending)
        done = start(shop, "twice")
    assert done.code == 130 and done.err.splitlines()[-1] == "yolo.train: interrupted"
    assert not (done.folder / "weights").exists()
    again = resume(done.folder)  # there is no checkpoint yet: from its options
    assert again.code == 0 and differences(done.folder, whole.folder) == []


KILLS = [("half-a-file", 3), ("row", 2), ("put", 5), ("step", 1)]


@pytest.mark.slow
def test_killed_again_and_again(shop: Workshop, whole: Done) -> None:
    """Half a checkpoint, a line of results without its checkpoint, best without last, a step."""
    folder = shop.folder / "runs/killed"
    first = shop.argv("killed", "--noplots", **OPTIONS)
    for number, (moment, times) in enumerate(KILLS):
        done = run_killed(moment, times, ["--resume", str(folder)] if number else first)
        assert done.returncode == -signal.SIGKILL, (moment, done.stderr)
    again = resume(folder)
    assert again.code == 0, again.err
    assert differences(folder, whole.folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("moments", [3, pytest.param(22, marks=pytest.mark.stress)])
def test_killed_at_random_moments(shop: Workshop, moments: int) -> None:
    """Anywhere between two calls of functions; each run goes on where the one before was killed, to the end."""
    options, rng, kills, ends = {**OPTIONS, "epochs": "12"}, np.random.default_rng(7), 0, 0
    counted = run_killed("calls", 0, shop.argv(f"counted{moments}", "--noplots", **options))
    assert counted.returncode == 0, counted.stderr
    calls = int(counted.stdout.splitlines()[-1])
    while kills < moments or (shop.folder / f"runs/random{moments}_{ends}").exists():
        folder = shop.folder / f"runs/random{moments}_{ends}"
        argv = ["--resume", str(folder)] if folder.exists() else shop.argv(folder.name, "--noplots", **options)
        done = run_killed("calls", int(rng.integers(1, calls // 3)) if kills < moments else 0, argv)
        if done.returncode == -signal.SIGKILL:
            kills += 1
        else:
            counted_folder = shop.folder / f"runs/counted{moments}"
            assert done.returncode == 0 and differences(folder, counted_folder) == [], done.stderr
            ends += 1


def copied(done: Done, to: Path) -> Path:
    return Path(shutil.copytree(done.folder, to))


def test_a_finished_run_is_only_measured_again(whole: Done, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "moved")
    done = resume(folder)
    assert done.code == 0 and f"{folder} has trained its 6 epochs; to train further start" in done.err
    assert done.out == whole.out and differences(folder, whole.folder) == []
    line = resume(folder, "--epochs", "9").refusal(PROGRAM)
    assert line == (
        f"--epochs 9: {folder} has trained its 6 epochs, and its learning rates went down with them; start a new run: "
        f"--weights {folder / 'weights/last.safetensors'} --epochs N"
    )


def test_its_own_options_hold(whole: Done, tmp_path: Path) -> None:
    done = resume(
        copied(whole, tmp_path / "run") / "weights/last.safetensors", "--batch", "2", "--workers", "0", "--json"
    )
    assert done.code == 0 and done.out.startswith("{")
    assert f"{tmp_path / 'run'} is resumed with its own options; ignored: --batch-size 2 (it is 4)" in done.err


def test_the_newest_run(whole: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # away from the runs of whoever runs the tests
    older, newer = (copied(whole, tmp_path / name / "deep") for name in ("b", "a"))
    for age, folder in enumerate((newer, older)):
        for file in ("opt.yaml", "weights/last.safetensors"):
            os.utime(folder / file, (1e9 - age, 1e9 - age))
    done = run(train.main, ["--resume", "--project", str(tmp_path), "--noplots"], newer)
    assert done.code == 0 and f"{newer} has trained" in done.err


def no_run(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: f / "absent", "--resume {}: no such run; name a run's folder, or none for the newest"),
        (lambda f: no_run(f / "x"), "{}: cannot be resumed: there is no weights/last.safetensors; name a run's folder"),
        (lambda f: f / "run/weights/best.safetensors", "--resume {}: only a run's last.safetensors can be resumed; "),
        (lambda f: f / "run/opt.yaml", "--resume {}: only a run's last.safetensors can be resumed; "),
    ],
)
def test_what_cannot_be_resumed(whole: Done, tmp_path: Path, make, message: str) -> None:
    copied(whole, tmp_path / "run")
    path = make(tmp_path)
    assert resume(path).refusal(PROGRAM).startswith(message.format(path))


def test_no_run_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = run(train.main, ["--resume"], tmp_path).refusal(PROGRAM)
    assert line == "--resume: no run in runs and runs/train; name a run's folder: --resume FOLDER"


def test_files_that_were_changed(whole: Done, tmp_path: Path) -> None:
    folder = copied(whole, tmp_path / "run")
    last, options = folder / "weights/last.safetensors", folder / "opt.yaml"
    shutil.copy(folder / "weights/best.safetensors", last)
    assert resume(folder).refusal(PROGRAM).startswith(f"{last}: has no training state; start a new run from it")
    last.unlink()
    content = yaml.safe_load(options.read_text())
    for value, said in (([1], "option epochs is [1]"), ("6", "option epochs is '6'"), (True, "option epochs is True")):
        options.write_text(yaml.safe_dump({**content, "epochs": value}))
        assert resume(folder).refusal(PROGRAM).startswith(f"{options}: {said}; ")
    for text, said in (("[", "is not readable YAML"), ("7", "holds no options")):
        options.write_text(text)
        assert resume(folder).refusal(PROGRAM).startswith(f"{options}: {said}")


def test_another_data_set_is_refused(shop: Workshop, whole: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        interrupt(patched, 3)
        done = start(shop, "renamed", data=str(copied_data(shop)))
    write_yaml(shop.folder / "other.yaml", {**yaml.safe_load(shop.data.read_text()), "names": ["red", "pink"]})
    line = resume(done.folder).refusal(PROGRAM)
    assert line.startswith("--resume: the data set's classes are red, pink; the run was trained on red, blue; restore")


def test_changed_data_is_told_or_refused(whole: Done, shop: Workshop, tmp_path: Path) -> None:
    """Other labels: a warning. Another number of batches an epoch: refused."""
    content = yaml.safe_load(shop.data.read_text())
    root = Path(shutil.copytree(content["path"], tmp_path / "copy"))
    data = write_yaml(tmp_path / "own.yaml", {**content, "path": str(root)})
    done = start(shop, "changing", data=str(data), epochs="2")
    with open(root / "labels/train/003.txt", "a") as stream:
        stream.write("1 0.5 0.5 0.2 0.2\n")
    again = resume(done.folder)
    assert again.code == 0 and "the training images or labels are not what they were when this run began" in again.err
    for number in range(4):
        (root / f"images/train/{number:03}.png").unlink()
    line = resume(done.folder).refusal(PROGRAM)
    assert line == (
        f"{data}: has 1 batches an epoch now and had 2 when this run began; restore the data set, or start a new run "
        f"from the run's weights"
    )


def copied_data(shop: Workshop) -> Path:
    return Path(shutil.copy(shop.data, shop.folder / "other.yaml"))


def test_without_saving_a_stop_is_saved(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = start(shop, "unsaved", "--nosave", "--noval")
    with monkeypatch.context() as patched:
        interrupt(patched, 5)
        done = start(shop, "unsaved_stop", "--nosave", "--noval")
    assert done.code == 130 and [f.name for f in (done.folder / "weights").iterdir()] == ["last.safetensors"]
    again = resume(done.folder)
    assert again.code == 0 and differences(done.folder, usual.folder) == []


def test_a_stop_in_the_middle_of_a_validation(shop: Workshop, whole: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    validation = Trainer._validation

    def stopping(self: Trainer, epoch: int):
        if epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return validation(self, epoch)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_validation", stopping)
        done = start(shop, "validating")
    assert done.code == 130 and "stopped at epoch 3, batch 2 of 2; go on" in done.err
    assert len((done.folder / "results.csv").read_text().splitlines()) == 3
    assert resume(done.folder).code == 0 and differences(done.folder, whole.folder) == []
