"""This project's checkpoints: one `.safetensors` file, everything beside the tensors as JSON in its header."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from yolo.errors import WeightsError
from yolo.io.files import write_atomic
from yolo.models.weights.checkpoint import Checkpoint, checked
from yolo.models.weights.finite import check_finite
from yolo.models.weights.header import LENGTH_BYTES, check_header

FORMAT: Final = "yolov5-oneflow-checkpoint"
VERSION: Final = 1
_TRAINING: Final = "training/"
_FIELDS: Final = ("config", "names", "strides", "meta")


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> Path:
    """Write ``checkpoint`` whole or not at all: when it fails, an earlier file at ``path`` survives.

    Raises WeightsError (a full disk, a folder that cannot be written, meta that is not JSON).
    """
    path = Path(path)
    tensors = {name: _dense(values) for name, values in checkpoint.model.items()}
    for name, values in (checkpoint.training or {}).items():
        tensors[_TRAINING + name] = _dense(values)
    try:
        header = {name: json.dumps(getattr(checkpoint, name)) for name in _FIELDS}
    except (TypeError, ValueError, RecursionError) as error:
        raise WeightsError(f"its metadata is not JSON: {error}", where=path) from None
    header.update(format=FORMAT, version=str(VERSION), training=str(checkpoint.training is not None))
    header["sha256"] = _digest(tensors, header)
    try:
        return write_atomic(path, lambda temporary: save_file(tensors, temporary, metadata=header))
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"could not be written: {error}", where=path, hint="free some space or choose another folder"
        ) from None


def read_safetensors(path: str | Path) -> Checkpoint:
    """Read what ``save_checkpoint`` wrote, every byte checked against its SHA-256; raises WeightsError."""
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            check_header(stream.read(LENGTH_BYTES))
        with safe_open(path, framework="np") as stream:
            header = stream.metadata() or {}
            _check_format(header, path)
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise WeightsError(f"broken file: {str(error)[:160]}", where=path, hint="copy it again") from None
    if _digest(tensors, header) != header.get("sha256"):
        raise WeightsError("altered or damaged: its SHA-256 does not match", where=path, hint="copy it again")
    fields = _fields(header, path)
    if not isinstance(fields["config"], dict) or not isinstance(fields["meta"], dict):
        raise WeightsError("its configuration or metadata is not a mapping", where=path)
    model = {name: values for name, values in tensors.items() if not name.startswith(_TRAINING)}
    check_finite(model, path)
    training = {k[len(_TRAINING) :]: v for k, v in tensors.items() if k.startswith(_TRAINING)}
    return checked(
        model,
        fields["config"],
        fields["names"],
        training=training if header.get("training") == "True" else None,
        meta=fields["meta"],
        where=path,
    )


def _check_format(header: Mapping[str, str], path: Path) -> None:
    if header.get("format") != FORMAT:
        hint = "give a checkpoint that this project's train wrote, or a YOLOv5 .pt"
        raise WeightsError("a safetensors file, but no YOLOv5 checkpoint", where=path, hint=hint)
    version = header.get("version", "")
    if not version.isdecimal() or len(version) > 9:
        raise WeightsError("its format version is not a number", where=path)
    if int(version) != VERSION:
        what = f"checkpoint format {int(version)}; this release reads {VERSION}"
        raise WeightsError(what, where=path, hint="use the release that wrote it, or a newer one")


def _fields(header: Mapping[str, str], path: Path) -> dict[str, Any]:
    try:
        return {name: json.loads(header[name]) for name in _FIELDS}
    except (KeyError, ValueError, RecursionError) as error:
        raise WeightsError(f"its metadata is damaged: {error}", where=path) from None


def _dense(values: np.ndarray) -> np.ndarray:
    """C order and native bytes, shape kept (`ascontiguousarray` would turn a scalar into a vector)."""
    values = np.asarray(values, order="C")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _digest(tensors: Mapping[str, np.ndarray], header: Mapping[str, str]) -> str:
    """SHA-256 over the metadata and every tensor's name, type, shape and bytes, in the names' order."""
    total = hashlib.sha256()
    for name in sorted(set(header) - {"sha256"}):
        total.update(f"{name}={header[name]}\0".encode())
    for name in sorted(tensors):
        values = tensors[name]
        total.update(f"{name} {values.dtype.str} {values.shape}\0".encode())
        total.update(values.reshape(-1).view(np.uint8).data)
    return total.hexdigest()
