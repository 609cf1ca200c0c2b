"""State dicts for YOLOv5: what PyTorch would read is what was given, and a file that says otherwise is refused."""

from __future__ import annotations

import json
import logging
import pickletools
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.models.small import small_mapping
from tests.models.test_pt import refused
from tests.parity import PARITY, needs_parity
from yolo.errors import WeightsError
from yolo.formats.pytorch import say_how_to_use, state_dict_path, verify_state_dict, write_state_dict
from yolo.models.config import load_model_config, parse_model_config
from yolo.models.network import build_network
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.load import load_weights
from yolo.models.weights.pt import DESCRIPTION
from yolo.models.weights.transfer import checkpoint_of, network_from_checkpoint, state_to_numpy

STAND_IN = """
from yolo.models.weights.load import load_weights
__version__ = "0.stand-in"

class Tensor:
    def __init__(self, values): self.values = values
    def numpy(self): return self.values

def load(path, map_location, weights_only):
    assert map_location == "cpu" and weights_only is True
    state = load_weights(path).model
    {change}
    return {{name: Tensor(values) for name, values in state.items()}}
"""


@pytest.fixture
def checkpoint() -> Checkpoint:
    network = build_network(parse_model_config(small_mapping(), name="small.yaml"), nc=2, rng=3)
    return checkpoint_of(network, ("räv", "dog"))


@pytest.fixture
def path(tmp_path: Path, checkpoint: Checkpoint) -> Path:
    return write_state_dict(tmp_path / "best_state_dict.pt", checkpoint)


def with_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str = "") -> None:
    """A stand-in `torch` for this process's search and for those that it starts."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "torch.py").write_text(STAND_IN.format(change=change), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))


def test_read_back_bit_for_bit(path: Path, checkpoint: Checkpoint) -> None:
    back = load_weights(path)
    assert (back.config, back.names, back.strides) == (checkpoint.config, ("räv", "dog"), (4, 8))
    assert back.model.keys() == checkpoint.model.keys()
    for name, values in checkpoint.model.items():
        assert back.model[name].dtype == values.dtype and back.model[name].shape == values.shape, name
        assert back.model[name].tobytes() == values.tobytes(), name
    held = state_to_numpy(network_from_checkpoint(back))
    assert all(np.array_equal(held[name], values) for name, values in checkpoint.model.items())


def test_the_form_is_torch_save_s(path: Path, checkpoint: Checkpoint) -> None:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        assert [name.split("/")[0] for name in names] == ["archive"] * len(names)
        assert {"archive/data.pkl", "archive/byteorder", "archive/version"} <= set(names)
        assert archive.read("archive/version") == b"3\n" and archive.read("archive/byteorder") == b"little"
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        pickled = archive.read("archive/data.pkl")
        first = archive.getinfo("archive/data/0")
    operations = [(code.name, argument) for code, argument, _ in pickletools.genops(pickled)]
    asked = {argument for name, argument in operations if name == "GLOBAL"}
    tensors = {"torch._utils _rebuild_tensor_v2", "torch FloatStorage", "torch LongStorage"}
    assert asked == {"collections OrderedDict", *tensors}
    data = path.read_bytes()
    start = first.header_offset + 30 + sum(np.frombuffer(data, "<u2", 2, first.header_offset + 26))
    assert start % 64 == 0
    values = next(iter(checkpoint.model.values()))
    assert data[start : start + values.nbytes] == values.tobytes()


def test_equal_weights_are_equal_files(tmp_path: Path, path: Path, checkpoint: Checkpoint) -> None:
    assert write_state_dict(tmp_path / "again.pt", checkpoint).read_bytes() == path.read_bytes()


def test_the_yaml_beside_it_describes_the_network(path: Path, checkpoint: Checkpoint) -> None:
    assert load_model_config(path.with_suffix(".yaml")).nc == 2
    assert yaml.safe_load(path.with_suffix(".yaml").read_text())["names"] == ["räv", "dog"]


def test_never_onto_the_file_that_it_is_made_from() -> None:
    assert state_dict_path("runs/best.pt") == Path("runs/best_state_dict.pt")
    assert state_dict_path("best.safetensors") == Path("best_state_dict.pt")


def test_weights_that_are_no_numbers(tmp_path: Path, checkpoint: Checkpoint) -> None:
    checkpoint.model["model.0.conv.weight"][0, 0, 0, 0] = np.nan
    with pytest.raises(WeightsError, match=r"model\.0\.conv\.weight"):
        write_state_dict(tmp_path / "x.pt", checkpoint)
    assert not list(tmp_path.iterdir())


def test_other_types_and_orders_in_memory(tmp_path: Path, checkpoint: Checkpoint) -> None:
    weight = checkpoint.model["model.1.conv.weight"]
    checkpoint.model["model.1.conv.weight"] = np.asfortranarray(weight.astype(np.float64))
    path = write_state_dict(tmp_path / "x.pt", checkpoint)
    assert load_weights(path).model["model.1.conv.weight"].tobytes() == weight.tobytes()
    assert verify_state_dict(path, checkpoint)["equal"]


def test_without_torch_it_is_said(path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo.formats.pytorch.find_spec", lambda name: None)
    found = verify_state_dict(path, checkpoint)
    assert found == {
        "tensors": len(checkpoint.model),
        "equal": True,
        "read_by": ["yolo"],
        "not_read_by": {"torch": "not installed here"},
    }


def test_torch_reads_it_too(
    tmp_path: Path, path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_torch(tmp_path, monkeypatch)
    found = verify_state_dict(path, checkpoint)
    assert found["read_by"] == ["yolo", "torch 0.stand-in"] and found["not_read_by"] == {}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("state['model.0.bn.bias'][1] += 1e-6", r"read by torch\.load, 1 tensors differ, model\.0\.bn\.bias first"),
        ("del state['model.0.bn.bias']", r"1 tensors differ, model\.0\.bn\.bias first"),
        ("state['other'] = state['model.0.bn.bias']", r"1 tensors differ, other first"),
        ("raise ValueError('a magic number')", r"torch\.load does not read it: ValueError: a magic number"),
    ],
)
def test_what_torch_finds_otherwise(
    tmp_path: Path, path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, change: str, says: str
) -> None:
    with_torch(tmp_path, monkeypatch, change)
    with pytest.raises(WeightsError, match=says):
        verify_state_dict(path, checkpoint)


def test_a_file_of_other_weights_or_names(path: Path, checkpoint: Checkpoint) -> None:
    other = Checkpoint(checkpoint.model, checkpoint.config, ("cat", "dog"), checkpoint.strides)
    with pytest.raises(WeightsError, match="its YAML or its class names are others"):
        verify_state_dict(path, other)
    checkpoint.model["model.0.bn.bias"][0] += 1
    with pytest.raises(WeightsError, match=r"read back, 1 tensors differ, model\.0\.bn\.bias first"):
        verify_state_dict(path, checkpoint)


def test_how_to_use_it(path: Path, checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "yolo"):
        say_how_to_use(path, checkpoint)
    assert (
        'DetectionModel("best_state_dict.yaml"); model.load_state_dict(torch.load("best_state_dict.pt"' in caplog.text
    )
    fused = {name.replace(".bn.", ".conv."): values for name, values in checkpoint.model.items()}
    with caplog.at_level(logging.INFO, "yolo"):
        say_how_to_use(path, Checkpoint(fused, checkpoint.config, checkpoint.names, checkpoint.strides))
    assert 'DetectionModel("best_state_dict.yaml").fuse(); model' in caplog.text


@needs_parity
@pytest.mark.parity
def test_a_published_file_and_back(tmp_path: Path) -> None:
    published = load_weights(PARITY / "weights" / "yolov5n.pt")
    path = write_state_dict(tmp_path / "x.pt", published)
    assert verify_state_dict(path, published)["tensors"] == 349
    assert load_weights(path).model["model.24.anchors"].shape == (3, 3, 2)


def rewritten(source: Path, target: Path, **instead: bytes) -> Path:
    """A copy of a file with other content in some records, by the last part of their names."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, instead.get(name.split("/")[-1].replace(".", "_"), old.read(name)))
    return target


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[]", f"a {DESCRIPTION} without the model's YAML"),
        (b"{", "broken checkpoint (JSONDecodeError"),
        (b"[" * 100_000, "broken checkpoint (RecursionError"),
        (json.dumps({"yaml": {"nc": 2}}).encode(), "backbone is not a list"),
        (b" " * (9 << 20), f"more than one {DESCRIPTION}, or one that is too long"),
    ],
)
def test_descriptions_from_strangers(tmp_path: Path, path: Path, content: bytes, says: str) -> None:
    assert says in refused(rewritten(path, tmp_path / "other.pt", yolo_json=content))


def test_a_state_dict_of_more_than_tensors(tmp_path: Path, path: Path) -> None:
    pickled = b"\x80\x02}X\x01\x00\x00\x00aK\x01s."
    assert "holds more than tensors" in refused(rewritten(path, tmp_path / "other.pt", data_pkl=pickled))


def test_tensors_alone_do_not_say_which_network(tmp_path: Path, path: Path) -> None:
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "bare.pt", "w") as new:
        for name in old.namelist():
            if not name.endswith(DESCRIPTION):
                new.writestr(name, old.read(name))
    assert "tensors alone do not say which" in refused(tmp_path / "bare.pt")
