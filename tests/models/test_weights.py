"""Checkpoints: round trips, transfer, damage and full disks."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.models.small import small_mapping
from tests.parity import PARITY, needs_parity
from yolo.errors import WeightsError
from yolo.models.config import parse_model_config
from yolo.models.network import Network, build_network
from yolo.models.weights import safetensors_io
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.load import load_weights, resolve_weights
from yolo.models.weights.safetensors_io import save_checkpoint
from yolo.models.weights.transfer import (
    Transfer,
    checkpoint_of,
    load_state,
    network_from_checkpoint,
    state_to_numpy,
    transfer,
)


def small_network(nc: int = 2, rng: int = 0, fused: bool = False) -> Network:
    return build_network(parse_model_config(small_mapping(), name="small.yaml"), nc=nc, rng=rng, fused=fused)


@pytest.fixture
def checkpoint() -> Checkpoint:
    training = {"momentum/a": np.random.default_rng(0).normal(size=(3, 2)), "step": np.asarray(7)}
    meta = {"epoch": 3, "opt": {"lr0": 0.01, "cos": False}, "note": "räksmörgås\n"}
    return checkpoint_of(small_network(), ("cat", "dog"), training=training, meta=meta)


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    equal = (np.array_equal(a[n], b[n]) and a[n].dtype == b[n].dtype and a[n].shape == b[n].shape for n in a)
    return a.keys() == b.keys() and all(equal)


def test_round_trip_is_bit_exact(tmp_path: Path, checkpoint: Checkpoint) -> None:
    checkpoint.training["strided"] = np.arange(12.0).reshape(3, 4).T
    checkpoint.training["big"] = np.arange(3, dtype=">i4")
    checkpoint.training["empty"] = np.zeros((0, 3), np.float32)
    back = load_weights(save_checkpoint(tmp_path / "last.safetensors", checkpoint))
    assert same(back.model, checkpoint.model)
    assert back.training.pop("big").tolist() == checkpoint.training.pop("big").tolist()  # native order in the file
    assert same(back.training, checkpoint.training)
    assert (back.names, back.strides, back.meta) == (("cat", "dog"), (4, 8), checkpoint.meta)
    assert back.config == checkpoint.config and back.config["nc"] == 2
    checkpoint.training = None
    assert load_weights(save_checkpoint(tmp_path / "best.safetensors", checkpoint)).training is None


def test_network_comes_back(tmp_path: Path) -> None:
    network = small_network(nc=5, rng=9)
    path = save_checkpoint(tmp_path / "a.safetensors", checkpoint_of(network, tuple("abcde")))
    again = network_from_checkpoint(load_weights(path))
    assert again.nc == 5 and same(state_to_numpy(again), state_to_numpy(network))
    fused = network_from_checkpoint(load_weights(path), fused=True)
    assert fused.fused and not any(".bn." in name for name in fused.state_dict())
    stored = checkpoint_of(fused, tuple("abcde"))
    assert network_from_checkpoint(stored).fused  # weights saved fused stay fused


def test_transfer_counts(checkpoint: Checkpoint) -> None:
    whole = transfer(small_network(rng=1), checkpoint)
    assert whole.moved == whole.total == len(checkpoint.model) and whole.skipped == ()
    other = small_network(nc=3, rng=1)
    part = transfer(other, checkpoint)
    assert part.moved == part.total - 4 and all(".8.m." in name for name in part.skipped)
    assert str(Transfer(343, 349)) == "transferred 343 of 349 tensors"
    without = transfer(small_network(rng=1), checkpoint, exclude=("anchors",))
    assert without.skipped == ("model.8.anchors",)
    assert transfer(small_network(fused=True), checkpoint).skipped == ()


def test_transfer_is_in_place(checkpoint: Checkpoint) -> None:
    network = small_network(rng=1)
    parameter = network.model[0].conv.weight
    transfer(network, checkpoint)
    assert parameter is network.model[0].conv.weight
    assert np.array_equal(parameter.numpy(), checkpoint.model["model.0.conv.weight"])


@needs_parity
@pytest.mark.parity
def test_published_weights_into_another_number_of_classes() -> None:
    checkpoint = load_weights(PARITY / "weights" / "yolov5n.pt")
    assert str(transfer(build_network("yolov5n", nc=3), checkpoint)) == "transferred 343 of 349 tensors"
    assert str(transfer(build_network("yolov5n", init=False), checkpoint)) == "transferred 349 of 349 tensors"


@pytest.mark.parametrize("change", ["missing", "foreign", "misshapen"])
def test_another_networks_state_is_refused(change: str) -> None:
    network = small_network()
    state = state_to_numpy(network)
    if change == "missing":
        del state["model.0.conv.weight"]
    elif change == "foreign":
        state["model.99.weight"] = np.zeros(1)
    else:
        state["model.0.conv.weight"] = np.zeros((1, 2, 3, 3))
    with pytest.raises(WeightsError, match="the weights are another network's"):
        load_state(network, state)


def test_full_disk_leaves_the_earlier_file(
    tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_checkpoint(tmp_path / "last.safetensors", checkpoint)
    before = path.read_bytes()

    def full(tensors: object, target: Path, metadata: object) -> None:
        Path(target).write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("yolo.models.weights.safetensors_io.save_file", full)
    with pytest.raises(WeightsError, match=r"No space left.*free some space"):
        save_checkpoint(path, checkpoint)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


_LIMITED = """
import resource, signal, sys
import numpy as np
from yolo.errors import WeightsError
from yolo.models.weights.load import load_weights
from yolo.models.weights.safetensors_io import save_checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
checkpoint = load_weights(sys.argv[1])
checkpoint.training = {"big": np.zeros(1 << 20)}
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
try:
    save_checkpoint(sys.argv[1], checkpoint)
except WeightsError as error:
    print(error)
"""


def test_a_file_that_really_cannot_grow(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = save_checkpoint(tmp_path / "last.safetensors", checkpoint)
    before = path.read_bytes()
    command = [sys.executable, "-c", _LIMITED, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "could not be written" in done.stdout
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_meta_that_is_no_json(tmp_path: Path, checkpoint: Checkpoint) -> None:
    checkpoint.meta["thing"] = object()
    with pytest.raises(WeightsError, match="not JSON"):
        save_checkpoint(tmp_path / "x.safetensors", checkpoint)


def test_folder_that_cannot_be(tmp_path: Path, checkpoint: Checkpoint) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="could not be written"):
        save_checkpoint(tmp_path / "file" / "x.safetensors", checkpoint)


def rewrite(path: Path, change: Callable[[dict[str, str]], object]) -> None:
    """The same tensors under a changed header."""
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])["__metadata__"]
    tensors = load_file(path)
    change(header)
    save_file(tensors, path, metadata=header)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda header: header.update(version="2"), "checkpoint format 2; this release reads 1"),
        (lambda header: header.update(version="x"), "version is not a number"),
        (lambda header: header.update(format="pt"), "no YOLOv5 checkpoint"),
        (lambda header: header.clear(), "no YOLOv5 checkpoint"),
        (lambda header: header.update(names='["a", "b"]'), "altered or damaged"),
        (lambda header: header.pop("sha256"), "altered or damaged"),
    ],
)
def test_foreign_and_altered_headers(
    tmp_path: Path, checkpoint: Checkpoint, change: Callable[[dict[str, str]], object], says: str
) -> None:
    path = save_checkpoint(tmp_path / "x.safetensors", checkpoint)
    rewrite(path, change)
    with pytest.raises(WeightsError, match=says) as caught:
        load_weights(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_configuration_that_is_no_network(tmp_path: Path, checkpoint: Checkpoint) -> None:
    checkpoint.config["head"] = [[-1, 1, "Convv", [3]]]
    path = save_checkpoint(tmp_path / "x.safetensors", checkpoint)
    with pytest.raises(WeightsError, match=r"x\.safetensors.*the last row"):
        load_weights(path)


def test_every_damaged_byte_is_noticed(tmp_path: Path, checkpoint: Checkpoint) -> None:
    whole = save_checkpoint(tmp_path / "x.safetensors", checkpoint).read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.safetensors"
    header = 8 + int.from_bytes(whole[:8], "little")
    for trial in range(200):
        damaged = bytearray(whole)
        place = int(rng.integers(0, header if trial % 2 else len(whole)))
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged[: int(rng.integers(0, len(whole)))] if trial % 10 == 0 else damaged)
        try:
            back = load_weights(path)
        except WeightsError as error:
            assert "\n" not in str(error)
        else:  # a byte of the padding, or a blank of the JSON
            assert same(back.model, checkpoint.model)


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 64, b"not a model at all, only words", b"\xff" * 99])
def test_files_of_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"weights\.pt"):
        load_weights(path)


def test_names_are_looked_for_here_and_in_weights(
    tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"looked for yolov5s, yolov5s\.safetensors.*weights/yolov5s\.pt"):
        resolve_weights("yolov5s")
    save_checkpoint("weights/yolov5s.safetensors", checkpoint)
    for name in ("yolov5s", "yolov5s.safetensors", "weights/yolov5s"):
        assert resolve_weights(name) == Path("weights/yolov5s.safetensors")
    save_checkpoint("yolov5s.safetensors", checkpoint)
    assert resolve_weights("yolov5s") == Path("yolov5s.safetensors")
    for name in ("", "a" * 5000, "nul\0", tmp_path):
        with pytest.raises(WeightsError):
            resolve_weights(name)


@pytest.mark.parametrize("name", ["yolov5m.pt", "best.safetensors", "runs/best.PT"])
def test_a_whole_name_gets_no_second_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("yolo.models.weights.load.find_published", lambda *_: None)
    with pytest.raises(WeightsError, match=r"looked for ") as caught:
        resolve_weights(name)
    assert str(caught.value).split("(looked for ")[1].split(")")[0] in (name, f"{name}, weights/{name}")


@pytest.mark.parametrize("length", [(8 << 20) + 1, 99_000_000, 1 << 63])
def test_a_header_longer_than_any_is_not_parsed(tmp_path: Path, length: int) -> None:
    """A million entries in it cost memory and time before their number is known."""
    path = tmp_path / "x.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b'{"a": {}}')
    with pytest.raises(WeightsError, match=f"a header of {length} bytes; at most 8388608 are read"):
        load_weights(path)


def test_metadata_nested_or_counted_without_end_is_one_line(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = save_checkpoint(tmp_path / "x.safetensors", checkpoint)
    tensors = load_file(path)
    for field in ("config", "names", "strides", "meta"):
        for bomb in ("[" * 100_000 + "]" * 100_000, "9" * 10_000, '{"a":' * 50_000 + "1" + "}" * 50_000):
            header = {name: "{}" for name in ("config", "names", "strides", "meta")}
            header |= {"format": "yolov5-oneflow-checkpoint", "version": "1", "training": "False", field: bomb}
            header["sha256"] = safetensors_io._digest(tensors, header)
            save_file(tensors, path, metadata=header)
            with pytest.raises(WeightsError, match=r"its metadata is damaged") as caught:
                load_weights(path)
            assert "\n" not in str(caught.value) and len(str(caught.value)) < 500
