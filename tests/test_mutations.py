"""Five hundred spoilt data sets and files: each gives a result or one clear line, never a traceback, never a hang."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.models.small import small_mapping
from tests.mutations import TOKENS, changes, spoil
from tests.train.samples import ONE_LEVEL, QUICK, Workshop, run, write_yaml
from yolo import check
from yolo.config.hyp import load_hyperparameters
from yolo.data.index import index_split
from yolo.data.load import load_dataset
from yolo.engine.trainer import Trainer
from yolo.errors import YoloError
from yolo.models.config import load_model_config, parse_model_config
from yolo.models.network import build_network
from yolo.models.parser import parse_network
from yolo.models.weights.load import load_weights
from yolo.models.weights.safetensors_io import save_checkpoint
from yolo.models.weights.transfer import checkpoint_of

DATA = b"""path: .
train: images/train
val:
  - images/val
names:
  0: red
  1: blue
nc: 2
download:
convert:
"""
LABELS = b"0 0.5 0.5 0.2 0.2\n1 0.25 0.5 0.1 0.3\n0 0.1 0.1 0.3 0.1 0.3 0.3\n"
numbers = itertools.count()


def many(count: int) -> Callable:
    return settings(
        max_examples=count, derandomize=True, database=None, deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )  # fmt: skip


@contextlib.contextmanager
def a_result_or_one_line() -> Iterator[None]:
    try:
        yield
    except YoloError as error:
        line = str(error)
        assert line and "\n" not in line and len(line) < 2500, line


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("yolo.io.files.os.fsync", lambda _: None)  # the disk is not what is tested
    return tmp_path


def make(folder: Path) -> Path:
    """A data set of four images in several formats."""
    for number, name in enumerate(("train/0.png", "train/1.jpg", "val/2.bmp", "val/3.png")):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 24, 3), 50 * number, np.uint8)).save(path)
        label = folder / "labels" / Path(name).with_suffix(".txt")
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_bytes(LABELS)
    (folder / "list.txt").write_text("images/train/0.png\n./images/val/2.bmp\nabsent.png\n")
    (folder / "data.yaml").write_bytes(DATA)
    return folder / "data.yaml"


def labels_of(folder: Path) -> list[Path]:
    return sorted((folder / "labels").glob("*/*.txt"))


def use(data: Path, *flags: str) -> None:
    """Load and index the data set, and check it through the command."""
    with a_result_or_one_line():
        dataset = load_dataset(data)
        for split in dataset.splits:
            with a_result_or_one_line():
                index_split(dataset, split)
    done = run(check.main, ["--data", str(data), "--json", *flags], data.parent)
    if done.code == 2 and not done.out:
        assert len(done.refusal("yolo.check")) < 2500
    else:
        assert done.code in (0, 1, 2) and done.out.startswith("{")


@many(130)
@given(some=changes)
def test_data_files(place: Path, some) -> None:
    data = place / "set" / "data.yaml"
    if not data.exists():
        make(data.parent)
    data.write_bytes(spoil(DATA, some))
    use(data)


@pytest.mark.parametrize("key", [b"path", b"train", b"names", b"  1", b"nc", b"download", b"convert"])
def test_every_token_as_the_value_of(place: Path, key: bytes) -> None:
    data = make(place / "set")
    for token in TOKENS:
        before, line, after = re.split(b"(?m)^(" + key + b":.*)$", DATA)
        data.write_bytes(before + line.partition(b":")[0] + b": " + token.encode() + after)
        with a_result_or_one_line():
            load_dataset(data)


@pytest.mark.parametrize("load", [load_hyperparameters, load_model_config])
def test_every_token_as_a_value_of_other_files(place: Path, load: Callable) -> None:
    for token in TOKENS:
        (place / "file.yaml").write_text(f"{yaml.safe_dump(small_mapping())}\nlr0: {token}\nnc: {token}\n")
        with a_result_or_one_line():
            load(place / "file.yaml")


@many(110)
@given(some=changes, which=st.integers(0, 8), fix=st.sampled_from([True, False, False, False]))
def test_data_sets(place: Path, some, which: int, fix: bool) -> None:
    data = place / "set" / "data.yaml"
    if not data.exists():
        make(data.parent)
    file = [data.parent / "list.txt", *sorted((data.parent / "images").glob("*/*")), *labels_of(data.parent)][which]
    whole = file.read_bytes()
    file.write_bytes(spoil(whole, some))
    data.write_bytes(DATA.replace(b"images/train", b"list.txt") if file.name == "list.txt" else DATA)
    try:
        use(data, *(["--fix", str(place / f"new{next(numbers)}")] if fix else []))
    finally:
        file.write_bytes(whole)


@many(95)
@given(some=changes)
def test_hyperparameters(place: Path, some) -> None:
    file = place / "hyp.yaml"
    file.write_bytes(spoil(yaml.safe_dump(QUICK).encode(), some))
    with a_result_or_one_line():
        load_hyperparameters(file)


@many(95)
@given(some=changes)
def test_model_files(place: Path, some) -> None:
    file = place / "model.yaml"
    file.write_bytes(spoil(yaml.safe_dump(small_mapping(), default_flow_style=None).encode(), some))
    with a_result_or_one_line():
        parse_network(load_model_config(file))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    network = build_network(parse_model_config(ONE_LEVEL, name="one level"))
    file = tmp_path_factory.mktemp("weights") / "w.safetensors"
    return save_checkpoint(file, checkpoint_of(network, ("red", "blue"))).read_bytes()


@many(60)
@given(some=changes, header=st.booleans())
def test_weights(place: Path, weights: bytes, some, header: bool) -> None:
    file = place / "w.safetensors"
    length = 8 + int.from_bytes(weights[:8], "little")
    file.write_bytes(spoil(weights[:length], some) + weights[length:] if header else spoil(weights, some))
    with a_result_or_one_line():
        load_weights(file)


@many(10)
@given(some=changes, which=st.sampled_from(["data", "model", "hyp", "label"]))
def test_the_training_command_up_to_its_first_step(place: Path, monkeypatch, some, which: str) -> None:
    shop = Workshop(place, make(place / f"set{next(numbers)}"), place / "model.yaml", place / "hyp.yaml")
    write_yaml(shop.model, ONE_LEVEL)
    write_yaml(shop.hyp, QUICK)
    label = shop.data.parent / "labels/train/0.txt"
    file = {"data": shop.data, "model": shop.model, "hyp": shop.hyp, "label": label}[which]
    file.write_bytes(spoil(file.read_bytes(), some))
    monkeypatch.setattr(Trainer, "train", lambda self: None)
    monkeypatch.setattr("yolo.train._finish", lambda *_: {})
    done = shop.train(f"run{next(numbers)}", "--noplots", "--noautoanchor", epochs="1", imgsz="16")
    assert done.code == 0 or done.refusal("yolo.train"), done.err
