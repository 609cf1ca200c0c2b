"""PyTorch files: published ones are read, hostile ones run nothing and read nothing outside themselves."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.hostile_pickles import opcodes
from tests.models.pt_files import LEGACY_MAGIC, checkpoint_pickle, write_legacy, write_zip
from tests.models.small import small_mapping
from tests.parity import PARITY, needs_parity
from yolo.errors import WeightsError
from yolo.models.config import parse_model_config
from yolo.models.network import build_network
from yolo.models.weights.load import load_weights
from yolo.models.weights.pt import plain, read_pt
from yolo.models.weights.transfer import network_from_checkpoint, state_to_numpy


def small_state() -> dict[str, np.ndarray]:
    return state_to_numpy(build_network(parse_model_config(small_mapping(), name="small.yaml")))


def refused(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_weights(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


@needs_parity
@pytest.mark.parity
@pytest.mark.parametrize("name", ["yolov5n", "yolov5s"])
def test_published_files(name: str) -> None:
    checkpoint = load_weights(PARITY / "weights" / f"{name}.pt")
    network = build_network(name, init=False)
    own = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    assert {key: values.shape for key, values in checkpoint.model.items()} == own and len(own) == 349
    assert {values.dtype.name for values in checkpoint.model.values()} == {"float32", "int64"}
    assert (len(checkpoint.names), checkpoint.names[0], checkpoint.strides) == (80, "person", (8, 16, 32))
    assert checkpoint.config["nc"] == 80 and checkpoint.meta["epoch"] == -1
    loaded = network_from_checkpoint(checkpoint)
    assert np.allclose(loaded.anchors, network.anchors, rtol=1e-3)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_both_forms_of_torch_save(tmp_path: Path, write: Callable[..., Path]) -> None:
    state = small_state()
    state["model.0.conv.weight"] = state["model.0.conv.weight"].astype(np.float16)
    names = {0: "cat", 1: "dog"}
    data, arrays = checkpoint_pickle(state, small_mapping(), names, optimizer=None, best_fitness=0.5, opt={"lr": 1})
    checkpoint = load_weights(write(tmp_path / "x.pt", data, arrays))
    assert checkpoint.names == ("cat", "dog") and checkpoint.strides == (4, 8)
    assert checkpoint.meta == {"epoch": -1, "best_fitness": 0.5}
    assert all(np.array_equal(checkpoint.model[key], state[key]) for key in state)
    network_from_checkpoint(checkpoint)


@pytest.mark.parametrize(
    ("names", "read"),
    [
        ({1: "dog", "0": "cat"}, ("cat", "dog")),
        ({1: "dog"}, ("0", "dog")),
        (["cat", None], ("cat", "1")),
        (["", " "], ("0", "1")),
        ("ab", ("0", "1")),
        (["cat", "dog", "cow"], ("cat", "dog")),
        (None, ("0", "1")),
    ],
)
def test_classes_without_a_name_get_their_number(tmp_path: Path, names: Any, read: tuple[str, ...]) -> None:
    data, arrays = checkpoint_pickle(small_state(), small_mapping(), names)
    assert load_weights(write_zip(tmp_path / "x.pt", data, arrays)).names == read


class Call:
    """Pickles as a call of ``function``."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def test_no_operation_runs_anything(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for name, data in opcodes(marker).items():
        message = refused(write_zip(tmp_path / "x.pt", data))
        for forbidden in ("posix.system", "subprocess.Popen"):
            if forbidden in name and not name.startswith("OBJ"):
                assert forbidden in message, name
        assert not marker.exists(), name


@pytest.mark.parametrize(
    "function",
    [os.system, eval, exec, getattr, __import__, open, pickle.loads, np.load, np.fromfile, np.save, os.remove, print],
)
def test_forbidden_names_are_named(tmp_path: Path, function: Callable[..., Any]) -> None:
    marker = tmp_path / "ran"
    data = pickle.dumps({"model": Call(function, f"open({str(marker)!r}, 'w')")}, protocol=2)
    assert function.__name__.lstrip("_") in refused(write_zip(tmp_path / "x.pt", data))
    assert not marker.exists()


def test_hostile_values_inside_a_good_checkpoint(tmp_path: Path) -> None:
    state, marker = small_state(), tmp_path / "ran"
    call = Call(os.system, f"touch {marker}")
    for place in ({"opt": [call]}, {"ema": {"x": call}}, {"epoch": call}):
        data, arrays = checkpoint_pickle(state, small_mapping(), **place)
        assert "system" in refused(write_zip(tmp_path / "x.pt", data, arrays))
    data, arrays = checkpoint_pickle(state, {**small_mapping(), "head": [[-1, 1, "os.system", ["true"]]]})
    assert "last row" in refused(write_zip(tmp_path / "x.pt", data, arrays))
    assert not marker.exists()


def bound(owner: bytes, name: bytes) -> bytes:
    """The pickle of `{"model": getattr(owner, name)}`."""
    return b"\x80\x02}X\x05\0\0\0modelc__builtin__\ngetattr\n" + owner + b"\x8c%c" % len(name) + name + b"\x86Rs."


def test_bound_methods_are_data(tmp_path: Path) -> None:
    """`getattr` stands for a forward of an object of the file, of nothing else, and nothing may be done with it."""
    conv, method = b"cmodels.common\nConv\n)\x81", b"c__builtin__\ngetattr\n"
    assert "no YOLOv5 model" in refused(write_zip(tmp_path / "x.pt", bound(conv, b"forward_fuse")))
    for owner in (b"cmodels.common\nConv\n", b"X\x01\0\0\0x", b"]", method):
        assert "getattr" in refused(write_zip(tmp_path / "x.pt", bound(owner, b"forward")))
    for name in (b"__class__", b"__init__", b"state", b"kind", b"_call_impl"):
        assert "getattr" in refused(write_zip(tmp_path / "x.pt", bound(conv, name)))
    made = b"\x80\x02" + method + conv + b"\x8c\x07forward\x86R"
    for used, says in ((b")R.", "a call of a Method"), (b")\x81.", "an instance of a Method"), (b"}b.", "state for a")):
        assert says in refused(write_zip(tmp_path / "x.pt", made + used))


def test_classes_of_the_older_form_are_names(tmp_path: Path) -> None:
    """The older form stores classes with their source: the name is taken, the source never looked at."""
    start = [pickle.dumps(value, protocol=2) for value in (LEGACY_MAGIC, 1001, {"little_endian": True})]
    source = f"import os; os.system('touch {tmp_path / 'ran'}')".encode()
    text = b"X" + len(source).to_bytes(4, "little") + source
    for named, says in ((b"cmodels.yolo\nX\n", "carries no YAML"), (b"cposix\nsystem\n", "posix.system"), (text, "")):
        data = b"\x80\x02(X\x06\0\0\0module" + named + text + text + b"tQ)\x81."
        path = tmp_path / "x.pt"
        path.write_bytes(b"".join((*start, data, pickle.dumps([], protocol=2))))
        assert says in refused(path)
        assert "no storage" in refused(write_zip(tmp_path / "zip.pt", data)) or named.startswith(b"cposix")
    assert not (tmp_path / "ran").exists()


def test_storages_that_are_parts_of_others_are_refused(tmp_path: Path) -> None:
    identity = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0aX\x03\0\0\0cpuK\x00(X\x01\0\0\0bK\x00K\x00ttQ."
    assert "part of another" in refused(write_zip(tmp_path / "x.pt", b"\x80\x02" + identity))


def one_tensor(*claim: Any) -> tuple[bytes, list[np.ndarray]]:
    """A checkpoint with one more tensor, over four floats; ``claim``: length of the storage, offset, size, stride."""
    state = {"w": np.arange(4, dtype=np.float32), **small_state()}
    return checkpoint_pickle(state, small_mapping(), claims={"w": claim})


@pytest.mark.parametrize(
    ("length", "offset", "size", "stride"),
    [
        (4, 1, (4,), (1,)),
        (4, 0, (5,), (1,)),
        (4, 0, (2, 2), (3, 1)),
        (4, -1, (4,), (1,)),
        (4, 0, (4,), (-1,)),
        (4, 0, (-4,), (1,)),
        (4, 0, (1 << 40,), (0,)),
        (4, 0, (4,), (1 << 50,)),
        (1 << 40, 0, (1 << 40,), (1,)),
        (400, 0, (400,), (1,)),
    ],
)
def test_tensors_cannot_reach_outside(
    tmp_path: Path, length: int, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    good = write_zip(tmp_path / "good.pt", *one_tensor(4, 0, (2, 2), (1, 2)))
    assert read_pt(good).model["w"].tolist() == [[0, 2], [1, 3]]
    message = refused(write_zip(tmp_path / "x.pt", *one_tensor(length, offset, size, stride)))
    assert "_rebuild_tensor_v2" in message or "storage '0'" in message


def test_zip_tricks(tmp_path: Path) -> None:
    data, arrays = checkpoint_pickle(small_state(), small_mapping())
    bomb = write_zip(tmp_path / "bomb.pt", data + b"\0" * 10_000_000, arrays, compression=zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(bomb)
    with zipfile.ZipFile(tmp_path / "none.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "data.pkl" in refused(tmp_path / "none.pt")
    assert "no YOLOv5 model" in refused(write_zip(tmp_path / "x.pt", pickle.dumps({"model": {"a": 1}}, protocol=2)))
    assert "no YOLOv5 model" in refused(write_zip(tmp_path / "x.pt", pickle.dumps([1, 2], protocol=2)))


def test_endless_structures(tmp_path: Path) -> None:
    laughs = b"\x80\x02]q\x00" + b"".join(b"]q%c(h%ch%ce" % (i + 1, i, i) for i in range(60)) + b"."
    nested = b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."
    deep_key = b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"K\x01s."
    copies = b"\x80\x02](" + b"K\x01" * 100_000 + b"eq\x00" + b"c__builtin__\nset\nh\x00\x85R0" * 2000 + b"."
    deep_type = b"\x80\x02cnumpy\ndtype\n)" + b"\x85" * 200_000 + b"R."
    instances = b"\x80\x02" + b"cmodels.yolo\nX\n" * 100_000 + b")\x81" + b"\x85\x81" * 99_999 + b"."
    for data in (laughs, nested, deep_key, copies, deep_type, instances):
        refused(write_zip(tmp_path / "x.pt", data))


def test_endless_configuration() -> None:
    shared: Any = [1]
    for _ in range(30):
        shared = [shared, shared]
    endless: list[Any] = []
    endless.append(endless)
    for value in (shared, endless, {"a": object()}):
        with pytest.raises(ValueError):
            plain(value)
    assert plain({"a": (1, None, "x", 2.5)}) == {"a": [1, None, "x", 2.5]}


def test_configuration_larger_than_its_weights(tmp_path: Path) -> None:
    config = small_mapping()
    config["backbone"][0] = [-1, 1, "Conv", [32_000, 3, 2]]
    config["backbone"][1] = [-1, 1, "Conv", [32_000, 255, 2]]
    data, arrays = checkpoint_pickle(small_state(), config)
    with pytest.raises(WeightsError, match="fewer weights than its configuration"):
        load_weights(write_zip(tmp_path / "x.pt", data, arrays))


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three bytes changed; every fifth time the end cut off."""
    damaged = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        damaged[int(rng.integers(0, len(damaged)))] = int(rng.integers(0, 256))
    return bytes(damaged[: int(rng.integers(1, len(damaged)))] if rng.random() < 0.2 else damaged)


@pytest.mark.parametrize("inside", [False, True], ids=["file", "pickle"])
@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_random_damage_gives_an_error_or_weights(tmp_path: Path, write: Callable[..., Path], inside: bool) -> None:
    rows = [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "SPPF", [8, 5]]]
    config = small_mapping(anchors=[[5, 6]], backbone=rows, head=[[[1], 1, "Detect", ["nc", "anchors"]]])
    state = state_to_numpy(build_network(parse_model_config(config, name="tiny.yaml")))
    data, arrays = checkpoint_pickle(state, config, ["cat", "dog"])
    load_weights(write(tmp_path / "x.pt", data, arrays))
    whole = write(tmp_path / "x.pt", data, arrays).read_bytes()
    rng = np.random.default_rng(1)
    path, good = tmp_path / "damaged.pt", 0
    for _ in range(200):
        if inside:  # under checksums that fit, so that the pickle machine itself meets the damage
            write(path, damage(data, rng), arrays)
        else:
            path.write_bytes(damage(whole, rng))
        try:
            checkpoint = load_weights(path)
        except WeightsError as error:
            assert "\n" not in str(error)
        else:
            good += 1
            assert all(isinstance(values, np.ndarray) for values in checkpoint.model.values())
    assert good < 200
