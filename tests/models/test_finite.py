"""Weights that are no numbers are refused by name when they are loaded."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.models.pt_files import checkpoint_pickle, write_legacy, write_zip
from tests.models.small import small_mapping
from tests.program.networks import two_levels
from tests.program.test_file import program_of
from tests.train.samples import make_data, run
from yolo import Detector, detect, export, train, val
from yolo.config.commands import TrainConfig
from yolo.engine.resume import find_run
from yolo.errors import WeightsError
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.finite import check_finite
from yolo.models.weights.load import load_weights
from yolo.models.weights.safetensors_io import save_checkpoint
from yolo.models.weights.transfer import checkpoint_of
from yolo.program import file as program_file
from yolo.program.file import load_program, save_program

KEY = "model.0.conv.weight"


@pytest.fixture
def checkpoint() -> Checkpoint:
    return checkpoint_of(two_levels(), ("red", "blue"))


def poison(checkpoint: Checkpoint, name: str = KEY, value: float = np.nan) -> Checkpoint:
    checkpoint.model[name].reshape(-1)[-1] = value
    return checkpoint


def write(path: Path, checkpoint: Checkpoint) -> Path:
    if path.suffix == ".safetensors":
        return save_checkpoint(path, checkpoint)
    data, arrays = checkpoint_pickle(checkpoint.model, checkpoint.config, list(checkpoint.names))
    return (write_legacy if path.suffix == ".old" else write_zip)(path, data, arrays)


@pytest.mark.parametrize("suffix", [".pt", ".old", ".safetensors"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_every_file_of_weights(tmp_path: Path, checkpoint: Checkpoint, suffix: str, value: float) -> None:
    load_weights(write(tmp_path / f"good{suffix}", checkpoint))
    bad = write(tmp_path / f"bad{suffix}", poison(checkpoint, value=value))
    with pytest.raises(WeightsError) as caught:
        load_weights(bad)
    assert f"{bad}: 1 of its tensors hold NaN or infinity: {KEY}; give" in str(caught.value)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_variance_below_zero_is_a_root_of_it_later(tmp_path: Path, checkpoint: Checkpoint, suffix: str) -> None:
    bad = write(tmp_path / f"bad{suffix}", poison(checkpoint, "model.0.bn.running_var", -1.0))
    with pytest.raises(WeightsError, match=r"1 of its tensors hold variances below zero: model\.0\.bn\.running_var"):
        load_weights(bad)


def test_half_precision(tmp_path: Path) -> None:
    state = checkpoint_of(two_levels(), ("a", "b")).model
    state[KEY] = state[KEY].astype(np.float16)
    state[KEY][0, 0, 0, 0] = np.float16("inf")
    data, arrays = checkpoint_pickle(state, small_mapping())
    with pytest.raises(WeightsError, match=KEY):
        load_weights(write_zip(tmp_path / "half.pt", data, arrays))


def test_names_are_counted_and_a_few_given() -> None:
    bad = {f"t{number}": np.array([np.inf], np.float32) for number in range(5)}
    whole = {"counter": np.array(3), "empty": np.zeros((0, 2), np.float32), "t": np.full(3, 3e38, np.float32)}
    check_finite(whole, "x.pt")
    with pytest.raises(WeightsError, match=r"x\.pt: 5 of its tensors hold NaN or infinity: t0, t1, t2, …"):
        check_finite({**bad, **whole}, "x.pt")


@pytest.mark.parametrize("place", ["weights", "anchors"])
def test_compiled_detectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    program = program_of(two_levels())
    name = "anchors" if place == "anchors" else min(program_file._needed(program.graph))
    values = program.anchors if place == "anchors" else program.graph.tensors[name]
    values.reshape(-1)[0] = np.inf
    with pytest.raises(WeightsError, match=f"hold NaN or infinity: {re.escape(name)};"):
        save_program(tmp_path / "never.program", program)
    with monkeypatch.context() as patched:
        patched.setattr(program_file, "check_finite", lambda *_: None)
        save_program(tmp_path / "bad.program", program)
    wrong = (
        "an anchor has a width"
        if place == "anchors"
        else f"the tensor {re.escape(name)} has numbers that are not finite"
    )
    with pytest.raises(WeightsError, match=rf"bad\.program: .*{wrong}"):
        load_program(tmp_path / "bad.program")
    assert not (tmp_path / "never.program").exists()


def test_the_state_of_a_training(tmp_path: Path, checkpoint: Checkpoint) -> None:
    checkpoint.training = {"momentum": np.array([0.0, np.nan])}
    last = save_checkpoint(tmp_path / "weights" / "last.safetensors", checkpoint)
    with pytest.raises(WeightsError, match=r"last\.safetensors: 1 of its tensors hold NaN or infinity: momentum"):
        find_run(TrainConfig(resume=str(last)))


@pytest.mark.parametrize("command", [train, val, detect, export], ids=lambda module: module.__name__)
def test_every_command_refuses_them(tmp_path: Path, checkpoint: Checkpoint, command) -> None:
    bad = write(tmp_path / "bad.safetensors", poison(checkpoint))
    argv = ["--weights", str(bad), "--imgsz", "64"]
    if command in (train, val):
        argv += ["--data", str(make_data(tmp_path / "data", train=1, val=1)), "--batch-size", "1"]
    if command is detect:
        argv += ["--source", str(make_data(tmp_path / "data", train=1, val=1).parent / "images/val")]
    refusal = run(command.main, argv, tmp_path).refusal(command.__name__)
    assert refusal.startswith(f"{bad}: 1 of its tensors hold NaN or infinity: {KEY}; give")
    with pytest.raises(WeightsError, match=KEY):
        Detector(bad)
