"""PyTorch `.pt` checkpoints of YOLOv5, read without PyTorch and without running anything."""

from __future__ import annotations

import io
import json
import logging
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from yolo.errors import WeightsError, YoloError
from yolo.models.config import parse_model_config
from yolo.models.parser import parse_network
from yolo.models.weights import magic
from yolo.models.weights.adopt import adopt, scale_norms
from yolo.models.weights.agreement import Found, check_modules, norms_in
from yolo.models.weights.checkpoint import Checkpoint, checked
from yolo.models.weights.finite import check_finite
from yolo.models.weights.header import LONGEST
from yolo.models.weights.modules import EPS, MOMENTUM
from yolo.models.weights.rebuild import ForbiddenError, Global, Instance
from yolo.models.weights.stack_machine import most_operations, read_pickle
from yolo.models.weights.storage import Storage, TensorRef, storage_from_id
from yolo.models.weights.tree import modules_in, tensors_in

DESCRIPTION: Final = "yolo.json"
"""A record beside a plain state dict's pickle, which PyTorch does not look at: `yaml` (the model's) and `names`."""
_LOG = logging.getLogger("yolo")
_MAX_PICKLE: Final = 256 << 20
_MAX_VALUES: Final = 100_000
_HEADER_OPERATIONS: Final = 1000
_LONGEST_DIRECTORY: Final = 2 << 20
"""Bytes of a zip's directory: some 20,000 storages."""
_LONGEST_META: Final = 1000
_META: Final = ("epoch", "best_fitness", "date", "updates")
_HINT: Final = "give a checkpoint that YOLOv5's train.py wrote, or a .safetensors of this project"

Attach = Callable[[Storage], None]


def read_pt(path: str | Path) -> Checkpoint:
    """Read a YOLOv5 `.pt` file (its EMA weights where it holds them, else the model's), or what `yolo.export` wrote.

    The configuration is the file's YAML, with what its modules have otherwise (an activation, a way to upsample) in
    its place; what no model YAML can say is refused. Tensors come as float32 (counters int64) under `model.…`. Raises
    WeightsError for a broken file, one that is no YOLOv5 checkpoint, or one that asks for any name beyond tensors and
    known modules.
    """
    path = Path(path)
    with _one_line_errors(path):
        with open(path, "rb") as stream:
            start = stream.read(len(magic.LEGACY))
        if start.startswith(magic.ZIP):
            with _File(path) as file, zipfile.ZipFile(file) as archive:
                file.longest = sys.maxsize
                root, attach = _open_zip(archive, path.stat().st_size)
                described = _description(archive)
                return _plain_state(root, described, attach, path) if described else _checkpoint(root, attach, path)
        if start == magic.LEGACY:
            return _checkpoint(*_open_legacy(path.read_bytes()), path)
    raise WeightsError("no PyTorch checkpoint (neither zip nor torch.save's older form)", where=path, hint=_HINT)


class _File(io.FileIO):
    """A file of which at most ``longest`` bytes are read at once: zipfile reads a directory whole, however long."""

    longest = _LONGEST_DIRECTORY

    def read(self, size: int = -1, /) -> bytes | None:
        if size > self.longest:
            raise ValueError(f"a directory of {size} bytes")
        return super().read(size)


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except YoloError:
        raise
    except ForbiddenError as error:
        raise WeightsError(f"refused, the file asks for {error}", where=path, hint=_HINT) from None
    except Exception as error:  # whatever a hostile or broken file provokes in the parsers ends here
        what = f"broken checkpoint ({type(error).__name__}: {str(error)[:160]})"
        raise WeightsError(what, where=path, hint="fetch or copy it again") from None


def _open_zip(archive: zipfile.ZipFile, file_bytes: int) -> tuple[Any, Attach]:
    """The pickled root and the reader of storages of torch.save's zip form."""
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("compressed entries, which torch.save never writes")
    if sum(entry.file_size for entry in entries) > file_bytes:
        raise ValueError("entries that overlap")
    pickles = [entry.filename for entry in entries if entry.filename.split("/")[-1] == "data.pkl"]
    if len(pickles) != 1 or archive.getinfo(pickles[0]).file_size > _MAX_PICKLE:
        raise ValueError("not one data.pkl inside")
    folder = pickles[0][: -len("data.pkl")]
    names = {entry.filename for entry in entries}
    big = f"{folder}byteorder" in names and archive.read(f"{folder}byteorder").strip() == b"big"

    def attach(storage: Storage) -> None:
        storage.raw = archive.read(f"{folder}data/{storage.key}")
        storage.big_endian = big

    root = read_pickle(io.BytesIO(archive.read(pickles[0])), _storages(file_bytes), most_operations(file_bytes))
    return root, attach


def _description(archive: zipfile.ZipFile) -> dict[str, Any]:
    """What `yolo.export` wrote beside a state dict; empty for other files."""
    names = [name for name in archive.namelist() if name.split("/")[-1] == DESCRIPTION]
    if not names:
        return {}
    if len(names) > 1 or archive.getinfo(names[0]).file_size > LONGEST:
        raise ValueError(f"more than one {DESCRIPTION}, or one that is too long")
    said = json.loads(archive.read(names[0]))
    if not isinstance(said, dict) or not isinstance(said.get("yaml"), dict):
        raise ValueError(f"a {DESCRIPTION} without the model's YAML")
    return said


def _plain_state(root: Any, described: Mapping[str, Any], attach: Attach, path: Path) -> Checkpoint:
    if not isinstance(root, dict) or not all(isinstance(tensor, TensorRef) for tensor in root.values()):
        raise ValueError("a state dict that holds more than tensors")
    state = _read_tensors({str(name): tensor for name, tensor in root.items()}, attach, path.stat().st_size)
    check_finite(state, path)
    return checked(state, described["yaml"], described.get("names"), where=path)


def _open_legacy(data: bytes) -> tuple[Any, Attach]:
    """The same for torch.save before 1.6: five pickles, then the storages one after another."""
    stream = io.BytesIO(data)
    _, protocol, system = (read_pickle(stream, _no_storage, _HEADER_OPERATIONS) for _ in range(3))
    if protocol != 1001 or not isinstance(system, Mapping):
        raise ValueError("unknown protocol")
    seen: dict[str, Storage] = {}
    storages = _storages(len(data), seen)
    most = most_operations(len(data))
    root = read_pickle(stream, lambda identity: _class_of(identity) or storages(identity), most)
    for key in read_pickle(stream, _no_storage, most):
        storage = seen[key if isinstance(key, str) else ""]  # hashing nested tuples takes time without end
        length = int.from_bytes(stream.read(8), "little")
        if length != storage.length:
            raise ValueError(f"storage {key!r} holds {length} elements, not {storage.length}")
        storage.raw = stream.read(length * storage.item_bytes)
        storage.big_endian = not system.get("little_endian", True)
    return root, lambda storage: None


def _class_of(identity: Any) -> Global | None:
    """The class that the older form stores with its source: `('module', class, file, source)`; None for others."""
    if isinstance(identity, tuple) and identity[:1] == ("module",) and len(identity) == 4:
        return identity[1] if isinstance(identity[1], Global) else None
    return None


def _no_storage(identity: Any) -> Any:
    raise ForbiddenError("a storage where none is allowed")


def _storages(file_bytes: int, seen: dict[str, Storage] | None = None) -> Callable[[Any], Storage]:
    """A loader of persistent ids that gives one Storage per key."""
    seen = {} if seen is None else seen

    def load(identity: Any) -> Storage:
        new = storage_from_id(identity, longest=file_bytes)
        known = seen.setdefault(new.key, new)
        if (known.code, known.length) != (new.code, new.length):
            raise ValueError(f"storage {new.key!r} is described twice and differently")
        return known

    return load


def _checkpoint(root: Any, attach: Attach, path: Path) -> Checkpoint:
    holder = root if isinstance(root, dict) else {"model": root}
    model, updates = _model(holder)
    if not isinstance(model, Instance):
        raise WeightsError("holds no YOLOv5 model (tensors alone do not say which)", where=path, hint=_HINT)
    config = plain(model.attributes.get("yaml"))
    if not isinstance(config, dict):
        raise WeightsError("its model carries no YAML", where=path, hint=_HINT)
    said = {key: holder.get(key, updates.get(key)) for key in _META}
    meta = {key: value for key, value in said.items() if isinstance(value, (int, float, str))}
    if any(isinstance(value, str) and len(value) > _LONGEST_META for value in meta.values()):
        raise ValueError("a date or the like that is a whole text")
    found = modules_in(model)
    state = _read_tensors(tensors_in(found), attach, path.stat().st_size)
    check_finite(state, path)
    checkpoint = checked(state, config, plain(model.attributes.get("names")), meta=meta, where=path)
    return _with_modules(checkpoint, found, attach, path)


def _model(holder: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """The EMA's model where there is one, else the model; the number of updates where it stands beside the EMA."""
    ema = holder.get("ema")
    if isinstance(ema, tuple) and len(ema) == 2:  # the first releases: the EMA and its updates
        ema, updates = ema
        return ema or holder.get("model"), {"updates": updates}
    return ema or holder.get("model"), {}


def _with_modules(checkpoint: Checkpoint, found: Found, attach: Attach, path: Path) -> Checkpoint:
    """``checkpoint`` computing what the modules of the file compute; raises WeightsError where no YAML can say it."""
    config, notes = adopt(checkpoint.config, found)
    spec = parse_network(parse_model_config(config, name="its configuration"))
    strides = found.get(f"model.{len(spec.layers) - 1}", found[""]).attributes.get("stride")
    if isinstance(strides, TensorRef):
        if strides.storage.raw is None:
            attach(strides.storage)
        strides = [int(stride) if stride == int(stride) else stride for stride in strides.read().reshape(-1).tolist()]
    check_modules(found, spec, strides, path)
    norms = norms_in(found)
    if not all(_is_fraction(eps) and (momentum is None or _is_fraction(momentum)) for eps, momentum in norms.values()):
        raise ValueError("a batch norm with an invalid eps or momentum")
    other = {norm: eps for norm, (eps, _) in norms.items() if eps != EPS}
    if other:
        notes.append(f"batch norms with eps {_listed(other.values())}, their weights brought to {EPS}")
    for note in notes:
        _LOG.info("%s: its modules have %s", path, note)
    momenta = _listed(momentum for _, momentum in norms.values() if momentum != MOMENTUM)
    if momenta:
        _LOG.warning("%s: its batch norms have momentum %s; training goes on with %s", path, momenta, MOMENTUM)
    state = scale_norms(checkpoint.model, other)
    check_finite({f"{norm}.weight": state[f"{norm}.weight"] for norm in other}, path)
    return checked(state, config, checkpoint.names, meta=checkpoint.meta, where=path)


def _is_fraction(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(sorted({str(value) for value in values}))


def _read_tensors(tensors: Mapping[str, TensorRef], attach: Attach, file_bytes: int) -> dict[str, np.ndarray]:
    if sum(tensor.elements for tensor in tensors.values()) > file_bytes:
        raise ValueError("tensors that share their numbers beyond the file's size")
    state = {}
    for name, tensor in tensors.items():
        if tensor.storage.raw is None:
            attach(tensor.storage)
        if not name.endswith(".anchor_grid"):  # a buffer of files before v6, made from the anchors
            state[name] = tensor.read()
    return state


def plain(value: Any) -> Any:
    """Lists, dicts and scalars as JSON knows them; raises ValueError for anything else, or for too much."""
    budget = [_MAX_VALUES]

    def convert(item: Any, depth: int) -> Any:
        budget[0] -= 1
        if depth > 32 or budget[0] < 0:
            raise ValueError("nested or repeated without end")
        if isinstance(item, dict):
            return {key: convert(entry, depth + 1) for key, entry in item.items()}
        if isinstance(item, (list, tuple)):
            return [convert(entry, depth + 1) for entry in item]
        if item is None or isinstance(item, (str, int, float)):
            return item
        raise ValueError(f"a {type(item).__name__} where plain data is expected")

    return convert(value, 0)
