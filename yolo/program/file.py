"""The compiled detector as a file: everything that detecting needs, and nothing that could run.

Layout: 8 bytes ``YOLOPROG``, the format's version (uint32, little endian), the SHA-256 of what follows, then a
safetensors file whose metadata hold the optimised graph and the detector's facts as JSON.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from yolo.class_names import class_channels
from yolo.errors import WeightsError
from yolo.io.files import write_atomic
from yolo.models.weights.finite import check_finite
from yolo.models.weights.header import check_header
from yolo.models.weights.magic import PROGRAM as MAGIC
from yolo.program.graph_json import graph_from_json, graph_to_json
from yolo.program.ir import Graph
from yolo.program.target import PRECISIONS
from yolo.program.verify import mean_shapes, tensor_shapes

VERSION: Final = 1
_HEAD: Final = struct.Struct("<8sI32s")
MOST_DESCRIPTION: Final = 1 << 24
"""Bytes of JSON. Read, it takes some twenty times its size."""
MOST_PIXELS: Final = 1 << 16
"""Longest side of images, strides and anchors."""
_WRONG: Final = (ValueError, KeyError, TypeError, OverflowError, struct.error)
_HINT: Final = "write it anew with python -m yolo.export --include program"


@dataclasses.dataclass(frozen=True)
class ProgramFile:
    """A detector's program. anchors: float32 [nl, na, 2] in pixels; imgsz: the size it is meant for, in pixels."""

    graph: Graph
    names: tuple[str, ...]
    strides: tuple[int, ...]
    anchors: np.ndarray
    precision: str
    imgsz: int

    def in_order(self, order: Sequence[int]) -> ProgramFile:
        """The same with the classes in another order: class i is this one's class ``order[i]``."""
        tensors = dict(self.graph.tensors)
        for node in self.graph.nodes:
            if node.output in self.graph.outputs:
                for name, shape in tensor_shapes(node, self.graph.channels):
                    tensors[name] = tensors[name][class_channels(shape[0], order)]
        names = tuple(self.names[number] for number in order)
        return dataclasses.replace(self, graph=dataclasses.replace(self.graph, tensors=tensors), names=names)


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
    """Read and check a file. Raises WeightsError: not such a file, cut off, altered, of another version, or one whose
    content no exporter writes; it names the step that is wrong."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=path) from error
    if len(data) < _HEAD.size or data[: len(MAGIC)] != MAGIC:
        raise WeightsError("is not a compiled detector", where=path, hint=_HINT)
    _, version, digest = _HEAD.unpack_from(data)
    if version != VERSION:
        what = f"is a compiled detector of version {version}; this program reads version {VERSION}"
        raise WeightsError(what, where=path, hint=_HINT)
    payload = data[_HEAD.size :]
    if hashlib.sha256(payload).digest() != digest:
        raise WeightsError("is damaged: its checksum does not match", where=path, hint=_HINT)
    try:
        check_header(payload)
        return _parsed(payload)
    except (*_WRONG, SafetensorError, RecursionError, MemoryError) as error:
        what = "".join(letter if letter.isprintable() else "?" for letter in str(error)[:200])
        raise WeightsError(f"is not a compiled detector: {what}", where=path, hint=_HINT) from None


def _needed(graph: Graph) -> dict[str, np.ndarray]:
    channels = graph.channels
    names = [name for node in graph.nodes for name, _ in tensor_shapes(node, channels)]
    if graph.scales:
        means = (name for node in graph.nodes for name, _ in mean_shapes(node, channels))
        names += [name for name in means if name in graph.tensors]
    return {name: np.ascontiguousarray(graph.tensors[name], np.float32) for name in names}


def _parsed(payload: bytes) -> ProgramFile:
    content = json.loads(_metadata(payload)["program"])
    graph = graph_from_json(content["graph"], load_tensors(payload))
    names, strides, precision, imgsz = (content[name] for name in ("names", "strides", "precision", "imgsz"))
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError("its class names are not valid")
    if not isinstance(precision, str) or precision not in PRECISIONS:
        raise ValueError("its precision is not known")
    if (precision == "int8") != bool(graph.scales):
        raise ValueError("its scales do not fit its precision")
    anchors = _anchors(content["anchors"], len(graph.outputs))
    columns = anchors.shape[1] * (5 + len(names))
    if any(graph.channels[value] != columns for value in graph.outputs):
        raise ValueError("its outputs do not fit its names and anchors")
    _check_strides(graph, strides, imgsz)
    return ProgramFile(graph, tuple(names), tuple(strides), anchors, precision, imgsz)


def _anchors(rows: Any, levels: int) -> np.ndarray:
    """Float32 ``[levels, na, 2]``, all of them sides that boxes can have."""
    alike = isinstance(rows, list) and len(rows) == levels and all(isinstance(row, list) for row in rows)
    alike = alike and len({len(row) for row in rows}) == 1 and len(rows[0]) > 0
    boxes = [box for row in rows for box in row] if alike else [None]
    if not all(isinstance(box, list) and len(box) == 2 for box in boxes):
        raise ValueError("its anchors are not a list of boxes per level")
    if not all(type(side) in (int, float) and 0 < side <= MOST_PIXELS for box in boxes for side in box):
        raise ValueError("an anchor has a width or height out of range")
    return np.array(rows, np.float32)


def _check_strides(graph: Graph, strides: Any, imgsz: Any) -> None:
    """The strides are those of the graph's outputs, for images of the size that it is meant for."""
    if not isinstance(strides, list) or len(strides) != len(graph.outputs):
        raise ValueError("its strides are not a list of one per level")
    if not all(type(side) is int and 0 < side <= MOST_PIXELS for side in (*strides, imgsz)):
        raise ValueError("its strides or its image size are not valid")
    if imgsz % max(strides):
        raise ValueError(f"its image size {imgsz} is not a multiple of its stride {max(strides)}")
    sizes = graph.sizes(imgsz, imgsz)
    for value, stride in zip(graph.outputs, strides):
        height, width = sizes[value]
        if (height * stride, width * stride) != (imgsz, imgsz):
            raise ValueError(
                f"output {value} has {height}x{width} cells of images of {imgsz}, not a stride of {stride}"
            )


def _metadata(payload: bytes) -> Mapping[str, Any]:
    """The metadata of a safetensors file: its header is JSON behind its length."""
    (length,) = struct.unpack_from("<Q", payload)
    if length > MOST_DESCRIPTION:
        raise ValueError(f"its description of {length} bytes is longer than any network's")
    return json.loads(payload[8 : 8 + length])["__metadata__"]
