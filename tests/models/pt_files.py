"""Writes `.pt` files without PyTorch: well-formed ones of a given state, and hostile ones."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from yolo.errors import ModelError
from yolo.models.activation import Activation
from yolo.models.config import parse_model_config
from yolo.models.parser import parse_network
from yolo.models.spec import NetworkSpec
from yolo.models.weights.agreement import TORCH
from yolo.models.weights.modules import Module, modules_of

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return ("storage", *value.identity) if isinstance(value, _Storage) else None


class _Storage:
    def __init__(self, *identity: Any) -> None:
        self.identity = identity


class _Tensor:
    def __init__(self, rebuild: Any, arguments: tuple[Any, ...]) -> None:
        self.rebuild, self.arguments = rebuild, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.rebuild, self.arguments


@contextmanager
def _foreign_modules():
    """`torch` and `models` as far as pickle looks at them, gone again afterwards."""
    names = ("torch", "torch._utils", "torch.nn.modules.any", "models", "models.common", "models.yolo")
    assert not any(name in sys.modules for name in names)
    made = {name: types.ModuleType(name) for name in names}
    made["torch"].FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
    made["torch"].HalfStorage = type("HalfStorage", (), {"__module__": "torch"})
    made["torch"].LongStorage = type("LongStorage", (), {"__module__": "torch"})
    made["models.yolo"].DetectionModel = type("DetectionModel", (), {"__module__": "models.yolo"})

    def _rebuild_tensor_v2(*arguments: Any) -> None:
        raise AssertionError("the reader must not call it")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    made["torch._utils"]._rebuild_tensor_v2 = _rebuild_tensor_v2
    sys.modules.update(made)
    try:
        yield made
    finally:
        for name in names:
            del sys.modules[name]


def _dump(value: Any) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream, protocol=2).dump(value)
    return stream.getvalue()


def module_parts(module: Module, spec: NetworkSpec) -> tuple[str, str, dict[str, Any]]:
    """Where the class of a module stands, its name, and the attributes that a file holds of it."""
    if module.kind != "activation":
        return (
            ("torch.nn.modules.any" if module.kind in TORCH else "models.common"),
            module.kind,
            dict(module.attributes),
        )
    activation: Activation = module.activation or spec.activation
    number = {"LeakyReLU": "negative_slope", "ELU": "alpha"}.get(activation.name)
    return "torch.nn.modules.any", activation.name, {number: activation.value} if number else {}


def _groups() -> dict[str, Any]:
    return {"_parameters": OrderedDict(), "_buffers": OrderedDict(), "_modules": OrderedDict()}


def _modules(config: Any, made: dict[str, types.ModuleType]) -> dict[str, Any]:
    """The modules that ``config`` describes, not yet one within the other; none where it describes no network."""
    try:
        spec = parse_network(parse_model_config(config, name="a test's"))
    except ModelError:
        return {}
    objects = {}
    for path, module in modules_of(spec).items():
        place, kind, attributes = module_parts(module, spec)
        if not hasattr(made[place], kind):
            setattr(made[place], kind, type(kind, (), {"__module__": place}))
        objects[path] = getattr(made[place], kind)()
        objects[path].__dict__.update(attributes, **_groups())
    return objects


def _attach(model: Any, objects: dict[str, Any], parameters: dict[str, Any]) -> None:
    """Put modules and tensors below ``model`` where their names say; foreign tensors into it."""
    for path, module in objects.items():
        parent, _, name = path.rpartition(".")
        objects.get(parent, model)._modules[name] = module
    for path, tensor in parameters.items():
        parent, _, name = path.rpartition(".")
        holder, name = (objects[parent], name) if parent in objects else (model, path)
        holder._buffers[name] = tensor


def checkpoint_pickle(
    state: dict[str, np.ndarray],
    config: Any,
    names: Any = None,
    claims: dict[str, tuple[Any, ...]] | None = None,
    **top: Any,
) -> tuple[bytes, list[np.ndarray]]:
    """The pickle of `{"model": DetectionModel}` and the arrays of its storages, keys 0, 1, 2, …

    ``claims``: for a name, what the pickle says instead of the truth: length of the storage, offset, size, stride.
    """
    arrays: list[np.ndarray] = []
    with _foreign_modules() as made:
        kinds = {"f": made["torch"].FloatStorage, "i": made["torch"].LongStorage}
        half = made["torch"].HalfStorage
        parameters: OrderedDict[str, Any] = OrderedDict()
        for name, values in state.items():
            kind = half if values.dtype == np.float16 else kinds[values.dtype.kind]
            strides = tuple(step // values.itemsize for step in values.strides)
            truth = (values.size, 0, values.shape, strides)
            length, *place = (claims or {}).get(name, truth)
            storage = _Storage(kind, str(len(arrays)), "cpu", length)
            arguments = (storage, *place, False, OrderedDict())
            parameters[name] = _Tensor(made["torch._utils"]._rebuild_tensor_v2, arguments)
            arrays.append(values)
        model = made["models.yolo"].DetectionModel()
        model.__dict__.update(yaml=config, names=names, **_groups())
        _attach(model, _modules(config, made), parameters)
        return _dump({"epoch": -1, "model": model, **top}), arrays


def write_zip(path: Path, data: bytes, arrays: list[np.ndarray] | None = None, **options: Any) -> Path:
    """torch.save's zip form around one pickle."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
        for key, values in enumerate(arrays or []):
            archive.writestr(f"archive/data/{key}", values.tobytes())
    return path


def write_legacy(path: Path, data: bytes, arrays: list[np.ndarray]) -> Path:
    """torch.save's form before 1.6."""
    start = [LEGACY_MAGIC, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    parts = [pickle.dumps(value, protocol=2) for value in start]
    keys = pickle.dumps([str(key) for key in range(len(arrays))], protocol=2)
    stored = [struct.pack("<q", values.size) + values.tobytes() for values in arrays]
    path.write_bytes(b"".join((*parts, data, keys, *stored)))
    return path
