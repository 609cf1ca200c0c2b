"""What a small `.pt` file may cost: time and memory that its size justifies, whatever it holds."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.hostile_pickles import hostile_pickles
from tests.models.pt_files import LEGACY_MAGIC, checkpoint_pickle, write_legacy, write_zip
from tests.models.small import small_mapping
from tests.models.test_pt import refused, small_state
from tests.models.test_pt_modules import instances
from yolo.errors import ModelError
from yolo.models.config import parse_model_config
from yolo.models.parser import parse_network
from yolo.models.weights import adopt
from yolo.models.weights.agreement import check_modules, describe, value_of
from yolo.models.weights.modules import modules_of
from yolo.models.weights.rebuild import ForbiddenError, Global, Instance
from yolo.models.weights.stack_machine import most_operations, read_pickle
from yolo.models.weights.storage import Storage, TensorRef
from yolo.models.weights.tree import modules_in, tensors_in


def machine(data: bytes, most: int = 1000) -> Any:
    return read_pickle(io.BytesIO(data), lambda identity: identity, most)


class Counting(io.BytesIO):
    """Counts what is read of it."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        return super().read(size)


@pytest.mark.parametrize("operation", [b"N0", b"]0", b"}0", b"K\x010", b"\x80\x02", b"(1", b"N2N00"])
def test_operations_are_bounded_by_the_size_of_the_file(operation: bytes) -> None:
    """18 MB of them took 36 s."""
    stream = Counting(b"\x80\x02" + operation * 300 + b"N.")
    with pytest.raises(ForbiddenError, match="more than 100 operations, which a file of this size does not need"):
        read_pickle(stream, lambda identity: identity, 100)
    assert stream.reads <= 200  # the opcodes and their arguments, and no more


def test_the_bound_of_a_file(tmp_path: Path) -> None:
    most = most_operations(18_000_000)
    assert most < 400_000 < most_operations(300_000_000) and most_operations(0) == 250_000
    many = write_zip(tmp_path / "many.pt", b"\x80\x02" + b"N0" * 200_000 + b"N.")
    assert "operations, which a file of this size does not need" in refused(many)
    many = write_legacy(tmp_path / "old.pt", b"\x80\x02" + b"N0" * 200_000 + b"N.", [])
    assert "operations, which a file of this size does not need" in refused(many)


def test_large_keys_cannot_meet_in_one_place() -> None:
    """Whole numbers of one hash make a dict take the square of their number in time, and large ones hash slowly."""
    good = pickle.dumps({1 << 48: 1, -5: 2, 2.5: 3, "x": 4, None: 5, b"y": 6}, protocol=2)
    assert len(machine(good)) == 6
    for data in (pickle.dumps({(1 << 61) - 1: 1}, protocol=2), pickle.dumps({-(1 << 70): 1}, protocol=2)):
        with pytest.raises(ForbiddenError, match="a int as a key"):
            machine(data)
    with pytest.raises(ForbiddenError, match="not scalars"):
        machine(pickle.dumps({1 << 61}, protocol=2))
    with pytest.raises(ForbiddenError, match="a place in the memo"):
        machine(b"\x80\x02Np" + str((1 << 61) - 1).encode() + b"\n.")
    with pytest.raises(ForbiddenError, match="LONG4"):
        machine(b"\x80\x02\x8b\xff\xff\0\0" + b"\1" * 65535 + b".")


def test_what_is_told_of_a_file_is_short(tmp_path: Path) -> None:
    """It goes into the header of a checkpoint made from it."""
    data, arrays = checkpoint_pickle(small_state(), small_mapping(), date="x" * 2000)
    assert "a date or the like that is a whole text" in refused(write_zip(tmp_path / "x.pt", data, arrays))


def test_names_are_short() -> None:
    name = b"x" * 400
    for data in (b"cmodels." + name + b"\nX\n.", b"\x80\x04\x8c\x08models.xX\x90\1\0\0" + name + b"\x93."):
        with pytest.raises(ForbiddenError, match=r"a name of 4\d\d letters"):
            machine(data)


@pytest.mark.parametrize("made", [b"R", b"\x81"])
def test_copies_are_counted_however_they_are_made(made: bytes) -> None:
    large = b"\x80\x02](" + b"K\x01" * 500 + b"eq\x00"
    again = b"c__builtin__\nset\nh\x00\x85" + made + b"0"
    with pytest.raises(ForbiddenError, match="copies of more than"):
        machine(large + again * 2100 + b"N.", 100_000)
    pairs = b"\x80\x02](" + b"K\x01" * 500 + b"eq\x00](" + b"h\x00" * 10 + b"eq\x01"
    with pytest.raises(ForbiddenError, match="not pairs"):
        machine(pairs + b"ccollections\nOrderedDict\nh\x01\x85" + made + b".", 100_000)


def laughs(depth: int = 60) -> Any:
    """Tuples within tuples: 2^60 of them when they are printed, hashed or compared."""
    value: Any = ("x",)
    for _ in range(depth):
        value = (value, value)
    return value


@pytest.mark.parametrize("name", ["stride", "scale_factor", "mode", "padding", "size", "anything"])
@pytest.mark.parametrize("value", [laughs(), [laughs()], [1] * 100_000, {"a": laughs()}], ids=["a", "b", "c", "d"])
def test_attributes_without_end_are_named(name: str, value: Any) -> None:
    assert value_of(Instance(Global("x", "MaxPool2d"), state={name: value}), name) == f"a {type(value).__name__}"


def test_what_is_printed_of_a_module_is_bounded() -> None:
    module = Instance(Global("torch.nn.modules.activation", "Softplus"), state={"beta": laughs(), "threshold": 1})
    assert describe(module) == "Softplus(beta=a tuple)"
    spec = parse_network(parse_model_config(small_mapping(), name="x"))
    found = {path: Instance(Global("x", "y"), state={"f": [1] * 100_000}) for path in modules_of(spec)}
    with pytest.raises(Exception, match="its modules are not those of its YAML") as caught:
        check_modules(found, spec, (laughs(), 8), "x.pt")
    assert len(str(caught.value)) < 1000


def test_keys_of_storages_are_text(tmp_path: Path) -> None:
    start = [pickle.dumps(value, protocol=2) for value in (LEGACY_MAGIC, 1001, {"little_endian": True}, {})]
    (tmp_path / "x.pt").write_bytes(b"".join((*start, pickle.dumps([laughs()], protocol=2))))
    assert "broken checkpoint (KeyError" in refused(tmp_path / "x.pt")


def _tree(modules: dict[str, Any], parameters: dict[str, Any] | None = None, **more: Any) -> Instance:
    return Instance(Global("models.x", "X"), state={"_modules": modules, "_parameters": parameters or {}, **more})


def test_modules_and_tensors_named_again_and_again() -> None:
    shared = _tree({}, {}, **{str(k): k for k in range(1000)})
    with pytest.raises(ValueError, match="modules without end"):
        modules_in(_tree({str(k): shared for k in range(1000)}))
    empty = _tree({str(k): None for k in range(1000)})
    with pytest.raises(ValueError, match="modules without end"):
        modules_in(_tree({str(k): empty for k in range(1000)}))
    tensor = TensorRef(Storage("0", "f4", 1), 0, (), ())
    many = _tree({}, {str(k): tensor for k in range(1000)})
    found = modules_in(_tree({str(k): many for k in range(200)}))
    with pytest.raises(ValueError, match="tensors without end"):
        tensors_in(found)
    endless = _tree({})
    endless.state["_modules"]["again"] = endless
    for tree in (endless, _tree({"x" * 300: _tree({})})):
        with pytest.raises(ValueError, match="names within names"):
            modules_in(tree)


@pytest.mark.parametrize("big", [False, True])
def test_a_small_tensor_of_a_large_storage_is_a_small_copy(big: bool) -> None:
    """Thousands of them may share it."""
    values = np.array([[1.5, -2.0], [0.0, 3e38]], np.float32)
    upper = np.zeros(1_000_000, ">u2" if big else "<u2")
    upper[10:14] = values.reshape(-1).view(np.uint32) >> 16
    storage = Storage("0", "bf16", len(upper), upper.tobytes(), big)
    tracemalloc.start()
    try:
        found = TensorRef.checked(storage, 10, (2, 2), (1, 2)).read()
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert found.dtype == np.float32 and found.flags.c_contiguous and np.allclose(found, values.T, rtol=0.01)
    scalar = TensorRef.checked(storage, 10, (), ()).read()
    assert isinstance(scalar, np.ndarray) and scalar.shape == () and scalar == 1.5


def test_a_configuration_of_more_blocks_than_its_weights_justify() -> None:
    rows = small_mapping()["backbone"] + [[-1, 1000, "nn.Identity", []]] * 900
    config = parse_model_config(small_mapping(backbone=rows, depth_multiple=16.0), name="x.yaml")
    with pytest.raises(ModelError, match=r"x\.yaml: backbone row 6: more than 10000 blocks; lower its number"):
        parse_network(config)


def test_changes_that_are_tried_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a copy of the configuration and a network read anew: the square of a long one's rows in time."""
    rows = small_mapping()["backbone"] + [[-1, 1, "Conv", [16, 3]] for _ in range(50)]
    config = small_mapping(backbone=rows)
    config["head"] = [[-1, 1, "nn.Upsample", ["None", 2, "nearest"]], [[-1, 2], 1, "Concat", [1]]]
    config["head"] += [[-1, 1, "C3", [8, False]], [[57, 54], 1, "Detect", ["nc", "anchors"]]]
    spec = parse_network(parse_model_config(config, name="x"))
    found = instances(spec)
    for layer in range(5, 55):
        found[f"model.{layer}.conv"].state["groups"] = 2
    parsed, limit = [], 1_000 // len(spec.layers)
    monkeypatch.setattr(adopt, "_MOST_WORK", 1_000)
    monkeypatch.setattr(adopt, "parse_network", lambda config: parsed.append(1) or parse_network(config))
    adopted, _ = adopt.adopt(config, found)
    assert len(parsed) == limit + 2 and sum(len(row[3]) > 2 for row in adopted["backbone"][5:]) == limit


def test_a_directory_of_a_million_entries(tmp_path: Path) -> None:
    """Each becomes an object of zipfile's before anything can be looked at."""
    data, arrays = checkpoint_pickle(small_state(), small_mapping())
    whole = write_zip(tmp_path / "x.pt", data, arrays).read_bytes()
    with zipfile.ZipFile(tmp_path / "x.pt") as archive:
        start, count = archive.start_dir, len(archive.infolist())
    directory, end = whole[start:-22], bytearray(whole[-22:])
    times = (3 << 20) // len(directory)
    end[8:16] = (count * times % 65536).to_bytes(2, "little") * 2 + (len(directory) * times).to_bytes(4, "little")
    (tmp_path / "x.pt").write_bytes(whole[:start] + directory * times + end)
    assert "a directory of" in refused(tmp_path / "x.pt")


_READ_ALL = """
import sys
from pathlib import Path
from yolo.errors import WeightsError
from yolo.models.weights.pt import read_pt
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read_pt(path)
    except WeightsError as error:
        print(error)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""
_WORST = ("b'\\x8f' repeated", "b'}K\\x01K\\x01s' repeated", "a long text as names", "colliding keys", "a long number")


@pytest.mark.parametrize(
    ("size", "names"), [(1_000_000, _WORST), pytest.param(18_000_000, None, marks=pytest.mark.stress)]
)
def test_hostile_pickles_stay_below_140_mb(tmp_path: Path, size: int, names: tuple[str, ...] | None) -> None:
    """One after another in one process, which imports the reader alone."""
    cases = hostile_pickles(size)
    assert len(cases) >= 60
    for name in names or cases:
        write_zip(tmp_path / f"{list(cases).index(name)}.pt", cases[name])
    done = subprocess.run([sys.executable, "-c", _READ_ALL, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *lines, kilobytes = done.stdout.splitlines()
    assert len(lines) == len(names or cases) and int(kilobytes) < 140_000, kilobytes
    assert all(line.startswith(str(tmp_path)) for line in lines)
