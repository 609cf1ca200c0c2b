"""A plain PyTorch state dict under YOLOv5's key names, written without PyTorch.

``torch.save``'s zip form: ``data.pkl`` is a pickle of ``collections.OrderedDict`` from a tensor's name to
``torch._utils._rebuild_tensor_v2``, beside it a file for each tensor's numbers. ``torch.load(..., weights_only=True)``
reads it. A record that PyTorch does not look at, ``yolo.json``, holds the model's YAML and the class names, so that the
file is ``--weights`` here, too.
"""

from __future__ import annotations

import json
import logging
import struct
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from yolo.errors import WeightsError
from yolo.formats.torch_digest import digest
from yolo.io.files import write_atomic, write_text_atomic
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.finite import check_finite
from yolo.models.weights.pt import DESCRIPTION, read_pt

logger = logging.getLogger("yolo")
_STORAGES: Final = {"float32": "FloatStorage", "int64": "LongStorage"}
_ALIGNMENT: Final = 64
"""Bytes: where each record's content starts, as PyTorch writes them, so that they may be mapped."""
_EXTRA: Final = struct.Struct("<2sH")
_LOCAL_HEADER: Final = 30
_PATIENCE: Final = 300
"""Seconds that PyTorch has for reading the file."""


def state_dict_path(weights: str | Path) -> Path:
    """Where the state dict of ``weights`` goes: never onto a ``.pt`` file that it was made from."""
    path = Path(weights)
    return path.with_name(f"{path.stem}_state_dict.pt")


def write_state_dict(path: str | Path, checkpoint: Checkpoint) -> Path:
    """Write the tensors of ``checkpoint.model`` (float32, counters int64) whole or not at all, and beside them the
    model's YAML with the class names, from which YOLOv5 builds the network.

    Raises WeightsError: weights that are no numbers, a full disk.
    """
    path = Path(path)
    state = {name: _as_stored(values) for name, values in checkpoint.model.items()}
    check_finite(state, path)
    config = {**checkpoint.config, "names": list(checkpoint.names)}
    try:
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        write_atomic(path, lambda temporary: _write_zip(temporary, state, _description(checkpoint)))
        write_text_atomic(path.with_suffix(".yaml"), text)
    except (OSError, yaml.YAMLError) as error:
        hint = "free some space or choose another folder"
        raise WeightsError(f"could not be written: {error}", where=path, hint=hint) from None
    return path


def verify_state_dict(path: str | Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """Read the file back, here by the reader that runs nothing and, where it is installed, by PyTorch.

    Gives ``tensors`` (their number), ``equal`` (every name, shape, type and bit), ``read_by`` ("yolo", "torch 2.13.0")
    and ``not_read_by`` ({"torch": why}). Raises WeightsError where a reader finds anything else than was written.
    """
    path = Path(path)
    expected = {name: digest(_as_stored(values)) for name, values in checkpoint.model.items()}
    back = read_pt(path)
    _require(expected, {name: digest(values) for name, values in back.model.items()}, path, "read back")
    if (back.config, back.names) != (checkpoint.config, checkpoint.names):
        raise WeightsError("read back, its YAML or its class names are others", where=path)
    read_by, not_read_by = ["yolo"], {}
    if find_spec("torch") is None:
        not_read_by["torch"] = "not installed here"
    else:
        found = _read_by_torch(path)
        _require(expected, found["tensors"], path, "read by torch.load")
        read_by.append(f"torch {found['version']}")
    return {"tensors": len(expected), "equal": True, "read_by": read_by, "not_read_by": not_read_by}


def say_how_to_use(path: Path, checkpoint: Checkpoint) -> None:
    """One line for who goes back to YOLOv5 with it."""
    fused = "" if any(".bn." in name for name in checkpoint.model) else ".fuse()"
    logger.info(
        'float32 (YOLOv5 saves float16); in YOLOv5: model = DetectionModel("%s")%s; '
        'model.load_state_dict(torch.load("%s", weights_only=True)); '
        'model.names = model.yaml["names"]; torch.save({"model": model}, "best.pt")',
        path.with_suffix(".yaml").name,
        fused,
        path.name,
    )


def _as_stored(values: np.ndarray) -> np.ndarray:
    """C order and little endian; floats as float32, whole numbers as int64; the shape stays."""
    return np.asarray(values, dtype="<f4" if values.dtype.kind == "f" else "<i8", order="C")


def _description(checkpoint: Checkpoint) -> bytes:
    content = {"yaml": checkpoint.config, "names": list(checkpoint.names)}
    return json.dumps(content, ensure_ascii=False).encode()


def _write_zip(path: Path, state: Mapping[str, np.ndarray], description: bytes) -> None:
    numbers = {f"data/{key}": values.tobytes() for key, values in enumerate(state.values())}
    records = {"data.pkl": _pickled(state), "byteorder": b"little", DESCRIPTION: description, **numbers}
    with open(path, "wb") as stream, zipfile.ZipFile(stream, "w") as archive:
        for name, content in {**records, "version": b"3\n"}.items():
            archive.writestr(_record(f"archive/{name}", stream.tell()), content)


def _record(name: str, start: int) -> zipfile.ZipInfo:
    """Uncompressed, its content at a multiple of 64 bytes, with no time, so that equal weights are equal files."""
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o644 << 16
    padding = -(start + _LOCAL_HEADER + len(name) + _EXTRA.size) % _ALIGNMENT
    info.extra = _EXTRA.pack(b"FB", padding) + b"Z" * padding
    return info


def _pickled(state: Mapping[str, np.ndarray]) -> bytes:
    """Protocol 2, as ``torch.save`` has it, without the memo, which readers do not ask for."""
    items = (_text(name) + _tensor(key, values) for key, (name, values) in enumerate(state.items()))
    return b"\x80\x02" + _ORDERED_DICT + b"(" + b"".join(items) + b"u."


def _tensor(key: int, values: np.ndarray) -> bytes:
    """A call of ``_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)``."""
    kind = _global("torch", _STORAGES[values.dtype.name])
    storage = b"(" + _text("storage") + kind + _text(str(key)) + _text("cpu") + _number(values.size) + b"tQ"
    strides = [step // values.itemsize for step in values.strides]
    arguments = storage + _number(0) + _numbers(values.shape) + _numbers(strides) + b"\x89" + _ORDERED_DICT
    return _global("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"tR"


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _numbers(values: Any) -> bytes:
    return b"(" + b"".join(map(_number, values)) + b"t"


_ORDERED_DICT: Final = _global("collections", "OrderedDict") + b")R"


def _read_by_torch(path: Path) -> dict[str, Any]:
    """What PyTorch finds in the file, read in a process of its own, since it and OneFlow are not good neighbours."""
    command = [sys.executable, "-m", "yolo.formats.torch_digest", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        raise WeightsError(f"torch.load did not read it within {_PATIENCE} s", where=path) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise WeightsError(f"torch.load does not read it: {last[:160]}", where=path)
    return json.loads(done.stdout)


def _require(expected: Mapping[str, str], found: Mapping[str, str], path: Path, how: str) -> None:
    wrong = [name for name in (*expected, *found) if expected.get(name) != found.get(name)]
    if wrong:
        raise WeightsError(f"{how}, {len(set(wrong))} tensors differ, {wrong[0]} first", where=path)
