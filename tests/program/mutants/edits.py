"""A compiled detector's file changed where it means something: numbers, names, nodes, their order, types of fields."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import json
import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from safetensors.numpy import load

from yolo.program.file import VERSION
from yolo.program.graph_json import KINDS, graph_from_json
from yolo.program.verify import tensor_shapes

Rng = np.random.Generator
INTEGERS = (-(2**63), -(2**31), -17, -1, 0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 64, 255, 1024, 2**20, 2**31 - 1, 2**64)
REALS = (0.0, -1.0, 1e-45, 1e-30, 1e30, 1e39, 1e300, math.inf, -math.inf, math.nan)
TEXTS = ("", "conv", "nn.ReLU()", "nn.ELU(1e38)", "nn.LeakyReLU(1e99)", "\x1b[2J", "a\nb", "x" * 5000, "fp32", "int8")
OTHERS: tuple[Any, ...] = (None, True, -1, 1.5, "3", [], [0], [1, 2], [1, 2, 3, 4], {}, {"a": 1}, [[]], [None])
LARGEST_TENSOR = 1 << 16
"""Numbers of a tensor that is made anew for a changed node."""


class Header:
    """A file's description and tensors, to be changed."""

    def __init__(self, whole: bytes) -> None:
        payload = whole[44:]
        (length,) = struct.unpack_from("<Q", payload)
        metadata = json.loads(payload[8 : 8 + length])["__metadata__"]
        self.content: Any = json.loads(metadata["program"])
        self.tensors = dict(load(payload))

    def sealed(self, rng: Rng, spoil_tensors: bool) -> bytes:
        """The file, with a checksum that fits."""
        rows, data = {}, b""
        for name, array in self.tensors.items():
            raw = np.ascontiguousarray(array, np.float32).tobytes()
            rows[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
            data += raw
        if spoil_tensors and rows:
            _spoil_row(rows, rng)
        rows["__metadata__"] = {"program": json.dumps(self.content)}
        text = json.dumps(rows).encode()
        text += b" " * (-len(text) % 8)
        payload = struct.pack("<Q", len(text)) + text + data
        return struct.pack("<8sI32s", b"YOLOPROG", VERSION, hashlib.sha256(payload).digest()) + payload

    def fit(self, rng: Rng) -> None:
        """Give changed nodes the tensors that they need now, and the levels the strides that they have now.

        As a careful forger would: what is then refused is refused for more than its first fault.
        """
        graph = self.content["graph"]
        channels = {0: graph["channels"]}
        for row in graph["nodes"]:
            try:
                node = graph_from_node(row)
                channels[node.output] = node.channels(tuple(channels[value] for value in node.inputs))
                for name, shape in tensor_shapes(node, channels):
                    if math.prod(shape) <= LARGEST_TENSOR:
                        self.tensors[name] = rng.normal(0, 0.3, shape).astype(np.float32)
            except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, IndexError):
                continue
        try:
            made = graph_from_json(graph, self.tensors)
            imgsz = self.content["imgsz"]
            sizes = made.sizes(imgsz, imgsz)
            self.content["strides"] = [imgsz // sizes[value][0] for value in made.outputs]
        except (ValueError, KeyError, TypeError):
            pass


def graph_from_node(row: dict[str, Any]) -> Any:
    """A node as the JSON of it says, unchecked but for its numbers being such."""
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return KINDS[values.pop("kind")](**values)


def _spoil_row(rows: dict[str, Any], rng: Rng) -> None:
    row = rows[_any(list(rows), rng)]
    kind = rng.integers(4)
    if kind == 0:
        row["shape"] = [int(side) for side in rng.permutation(row["shape"])]
    elif kind == 1:
        row["dtype"] = _any(["F16", "I32", "U8", "F64", "BF16", "X"], rng)
    elif kind == 2:
        row["data_offsets"] = [int(_any(INTEGERS, rng)), row["data_offsets"][1]]
    else:
        row["shape"] = [*row["shape"], 1]


def _any(rows: Any, rng: Rng) -> Any:
    return rows[int(rng.integers(len(rows)))]


def places(content: Any, wanted: Callable[[Any], bool]) -> list[tuple[Any, Any]]:
    """(container, key) of all that is ``wanted``."""
    found, todo = [], [content]
    while todo:
        container = todo.pop()
        for key in list(container) if isinstance(container, dict) else range(len(container)):
            value = container[key]
            if wanted(value):
                found.append((container, key))
            if isinstance(value, (dict, list)):
                todo.append(value)
    return found


def _replace(content: Any, rng: Rng, wanted: Callable[[Any], bool], new: Callable[[Any], Any]) -> None:
    found = places(content, wanted)
    if found:
        container, key = _any(found, rng)
        container[key] = new(container[key])


def integer(content: Any, rng: Rng) -> None:
    def new(value: int) -> int:
        near = (value - 1, value + 1, 2 * value, value // 2, -value, value + 8, 3 * value)
        return _any(near if rng.random() < 0.6 else INTEGERS, rng)

    _replace(content, rng, lambda value: type(value) is int, new)


def real(content: Any, rng: Rng) -> None:
    _replace(content, rng, lambda value: type(value) is float, lambda _: _any(REALS, rng))


def flag(content: Any, rng: Rng) -> None:
    _replace(content, rng, lambda value: type(value) is bool, lambda value: not value)


def text(content: Any, rng: Rng) -> None:
    known = [container[key] for container, key in places(content, lambda value: isinstance(value, str))]
    _replace(content, rng, lambda value: isinstance(value, str), lambda _: _any((*TEXTS, *known), rng))


def type_(content: Any, rng: Rng) -> None:
    _replace(content, rng, lambda _: True, lambda _: copy.deepcopy(_any(OTHERS, rng)))


def list_(content: Any, rng: Rng) -> None:
    def new(rows: list) -> list:
        place, kind = int(rng.integers(len(rows))), rng.integers(4)
        if kind == 0:
            return rows[:place] + rows[place + 1 :]
        if kind == 1:
            return [*rows, rows[place]]
        if kind == 2:
            return rows[::-1]
        return rows * 2

    _replace(content, rng, lambda value: isinstance(value, list) and bool(value), new)


def field(content: Any, rng: Rng) -> None:
    found = places(content, lambda value: isinstance(value, dict) and bool(value))
    row = content if not found or rng.random() < 0.2 else (lambda at: at[0][at[1]])(_any(found, rng))
    name = _any(list(row), rng)
    if rng.random() < 0.5:
        del row[name]
    else:
        row[f"{name}_"] = row[name]


def kind(content: Any, rng: Rng) -> None:
    """Another operation, with fields that it has."""
    defaults = {"activation": "nn.SiLU()", "weights": "w", "column_major": False, "average": False, "bias": False}
    defaults |= {"transposed": False, "sides": [0, 1, 0, 1], "padding": 0, "start": 0, "output_padding": 0}
    row = _any(content["graph"]["nodes"], rng)
    made = KINDS[_any(list(KINDS), rng)]
    new = {"kind": made.kind}
    for name in (field.name for field in dataclasses.fields(made)):
        pair = made.kind == "conv" and name in ("kernel", "stride", "padding", "dilation")
        given = row.get(name, defaults.get(name, int(rng.integers(1, 5))))
        new[name] = [given, given] if pair and not isinstance(given, list) else given
    inputs = {"add": 2, "concat": 2, "attention": 3}.get(made.kind, 1)
    new["inputs"] = (row["inputs"] * 3)[:inputs]
    row.clear()
    row.update(new)


def reference(content: Any, rng: Rng) -> None:
    """A node or an output of the graph reads another value."""
    graph = content["graph"]
    place = int(rng.integers(len(graph["nodes"])))
    before = len(graph["nodes"]) if rng.random() < 0.1 else place  # values that are there already, mostly
    values = [0, *(row["output"] for row in graph["nodes"][:before])]
    rows = graph["outputs"] if rng.random() < 0.1 else graph["nodes"][place]["inputs"]
    if rng.random() < 0.2:
        rows.append(_any(values, rng))
    elif rows:
        rows[int(rng.integers(len(rows)))] = _any(values, rng)


def order(content: Any, rng: Rng) -> None:
    nodes = content["graph"]["nodes"]
    nodes.insert(int(rng.integers(len(nodes))), nodes.pop(int(rng.integers(len(nodes)))))


def twice(content: Any, rng: Rng) -> None:
    nodes = content["graph"]["nodes"]
    place = int(rng.integers(len(nodes)))
    row = copy.deepcopy(nodes[place])
    if rng.random() < 0.7:
        row["output"] = 1 + max(node["output"] for node in nodes)
    nodes.insert(place + 1, row)


def without(content: Any, rng: Rng) -> None:
    nodes = content["graph"]["nodes"]
    gone = nodes.pop(int(rng.integers(len(nodes))))
    if rng.random() < 0.7:  # its readers read what it has read
        for row in nodes:
            row["inputs"] = [gone["inputs"][0] if value == gone["output"] else value for value in row["inputs"]]


def scale(content: Any, rng: Rng) -> None:
    scales, nodes = content["graph"]["scales"], content["graph"]["nodes"]
    if scales and rng.random() < 0.5:
        scales.pop(int(rng.integers(len(scales))))
    else:
        scales.append([_any([0, *(row["output"] for row in nodes)], rng), 0.03, 37])


def geometry(content: Any, rng: Rng) -> None:
    """A number of a node becomes another small one, which may well fit."""
    row = _any(content["graph"]["nodes"], rng)
    names = [name for name, value in row.items() if type(value) is int or name in ("kernel", "stride", "padding")]
    name = _any([name for name in names if name != "output"] or ["output"], rng)
    value = _any((0, 1, 2, 3, 4, 8, 12, 16, 24, 32), rng)
    row[name] = [value] * len(row[name]) if isinstance(row[name], list) else value


EDITS = (integer, integer, real, flag, text, type_, list_, field, order, twice, without, scale)
EDITS += 3 * (kind, reference) + 8 * (geometry,)


def mutant(whole: bytes, rng: Rng) -> bytes:
    """The file with one to three changes; half of the time with tensors and strides that fit them."""
    header = Header(whole)
    for _ in range(_any((1, 1, 1, 2, 2, 3), rng)):
        try:
            _any(EDITS, rng)(header.content, rng)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError):
            break  # the edit before has left no such thing
    if rng.random() < 0.7:
        with contextlib.suppress(KeyError, TypeError, AttributeError):  # the description is no such thing any more
            header.fit(rng)
    return header.sealed(rng, rng.random() < 0.05)
