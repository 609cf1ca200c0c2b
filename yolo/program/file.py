"""The compiled detector as a file: everything that detecting needs, and nothing that could run.

Layout: 8 bytes ``YOLOPROG``, the format's version (uint32, little endian), the SHA-256 of what follows, then a
safetensors file whose metadata hold the optimised graph and the detector's facts as JSON.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from yolo.errors import WeightsError
from yolo.files import write_atomic
from yolo.models.weights.finite import check_finite
from yolo.models.weights.header import check_header
from yolo.models.weights.magic import PROGRAM as MAGIC
from yolo.program.compiled import PRECISIONS
from yolo.program.graph_json import graph_from_json, graph_to_json, mean_shapes, tensor_shapes
from yolo.program.ir import Graph

VERSION: Final = 1
_HEAD: Final = struct.Struct("<8sI32s")
_MEND: Final = "write it anew with python -m yolo.export --include program"


@dataclasses.dataclass(frozen=True)
class ProgramFile:
    """A detector's program. anchors: float32 [nl, na, 2] in pixels; imgsz: the size it is meant for, in pixels."""

    graph: Graph
    names: tuple[str, ...]
    strides: tuple[int, ...]
    anchors: np.ndarray
    precision: str
    imgsz: int


def is_program(path: str | Path) -> bool:
    """Whether a file begins as a compiled detector does; False for one that cannot be read."""
    try:
        with open(path, "rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):  # a name with a NUL
        return False


def save_program(path: str | Path, program: ProgramFile) -> Path:
    """Write the file, whole or not at all. Raises WeightsError for weights that are no numbers."""
    tensors = _needed(program.graph)
    check_finite({**tensors, "anchors": program.anchors}, path)
    content = {
        "graph": graph_to_json(program.graph),
        "names": list(program.names),
        "strides": list(program.strides),
        "anchors": program.anchors.tolist(),
        "precision": program.precision,
        "imgsz": program.imgsz,
    }
    payload = save_tensors(tensors, {"program": json.dumps(content)})
    head = _HEAD.pack(MAGIC, VERSION, hashlib.sha256(payload).digest())
    return write_atomic(path, lambda temporary: temporary.write_bytes(head + payload))


def load_program(path: str | Path) -> ProgramFile:
    """Read and check a file. Raises WeightsError: not such a file, cut off, altered, of another version."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path) from error
    if len(data) < _HEAD.size or data[: len(MAGIC)] != MAGIC:
        raise WeightsError("is no compiled detector", where=path, mend=_MEND)
    _, version, digest = _HEAD.unpack_from(data)
    if version != VERSION:
        what = f"is a compiled detector of version {version}; this program reads version {VERSION}"
        raise WeightsError(what, where=path, mend=_MEND)
    payload = data[_HEAD.size :]
    if hashlib.sha256(payload).digest() != digest:
        raise WeightsError("is damaged: its checksum does not match", where=path, mend=_MEND)
    try:
        check_header(payload)
        program = _parsed(payload)
    except (ValueError, KeyError, TypeError, SafetensorError, RecursionError) as error:
        raise WeightsError(f"is no compiled detector: {str(error)[:200]}", where=path, mend=_MEND) from None
    check_finite({**program.graph.tensors, "anchors": program.anchors}, path)
    return program


def _needed(graph: Graph) -> dict[str, np.ndarray]:
    channels = dict(enumerate(graph.channels))
    names = [name for node in graph.nodes for name, _ in tensor_shapes(node, channels)]
    if graph.scales:
        means = (name for node in graph.nodes for name, _ in mean_shapes(node, channels))
        names += [name for name in means if name in graph.tensors]
    return {name: np.ascontiguousarray(graph.tensors[name], np.float32) for name in names}


def _parsed(payload: bytes) -> ProgramFile:
    tensors = load_tensors(payload)
    content = json.loads(_metadata(payload)["program"])
    graph = graph_from_json(content["graph"], tensors)
    strides, anchors = content["strides"], np.array(content["anchors"], np.float32)
    names, precision, imgsz = content["names"], content["precision"], content["imgsz"]
    levels = len(graph.outputs)
    fits = anchors.ndim == 3 and anchors.shape[2] == 2 and len(anchors) == levels == len(strides)
    if not fits or not all(type(stride) is int and 0 < stride < 1 << 16 for stride in strides):
        raise ValueError("its levels, strides and anchors do not fit")
    if not all(isinstance(name, str) for name in names) or precision not in PRECISIONS or type(imgsz) is not int:
        raise ValueError("its names, precision or size are none")
    if (precision == "int8") != bool(graph.scales):
        raise ValueError("its scales do not fit its precision")
    columns = anchors.shape[1] * (5 + len(names))
    if any(graph.channels[value] != columns for value in graph.outputs) or not names:
        raise ValueError("its outputs do not fit its names")
    return ProgramFile(graph, tuple(names), tuple(strides), anchors, precision, imgsz)


def _metadata(payload: bytes) -> Mapping[str, Any]:
    """The metadata of a safetensors file: its header is JSON behind its length."""
    (length,) = struct.unpack_from("<Q", payload)
    return json.loads(payload[8 : 8 + length])["__metadata__"]
