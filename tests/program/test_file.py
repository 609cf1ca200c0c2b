"""The compiled detector's file: what comes back, and what is refused."""

from __future__ import annotations

import hashlib
import json
import struct
import typing
from pathlib import Path

import numpy as np
import pytest

from tests.program.networks import ROWS, network_of, random_images, state_of, two_levels
from yolo.errors import WeightsError, YoloError
from yolo.inference.models import program_model
from yolo.program import graph_json
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings
from yolo.program.file import MAGIC, ProgramFile, is_program, load_program, save_program
from yolo.program.graph_json import graph_from_json, graph_to_json
from yolo.program.lower import lower
from yolo.program.passes import optimise

HEAD = 44


def program_of(network, precision: str = "fp32") -> ProgramFile:
    graph = optimise(lower(network.spec, state_of(network)), precision)
    names = tuple(f"class {number}" for number in range(network.nc))
    return ProgramFile(graph, names, network.strides, network.anchors, precision, 64)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return save_program(tmp_path_factory.mktemp("file") / "a.program", program_of(two_levels())).read_bytes()


def load_bytes(tmp_path: Path, data: bytes) -> ProgramFile:
    path = tmp_path / "b.program"
    path.write_bytes(data)
    return load_program(path)


def resealed(payload: bytes) -> bytes:
    """A file with this payload and a checksum that fits it."""
    return struct.pack("<8sI32s", MAGIC, 1, hashlib.sha256(payload).digest()) + payload


@pytest.mark.parametrize("name", ROWS)
def test_what_comes_back_computes_the_same(tmp_path: Path, name: str) -> None:
    program, images = program_of(network_of(name)), random_images((1, 3, 64, 64))
    found = load_program(save_program(tmp_path / "a.program", program))
    assert (found.names, found.strides, found.precision, found.imgsz) == (
        program.names,
        program.strides,
        "fp32",
        64,
    )
    np.testing.assert_array_equal(found.anchors, program.anchors)
    assert (found.graph.nodes, found.graph.outputs) == (program.graph.nodes, program.graph.outputs)
    ours, theirs = (CompiledNetwork(graph).program(images.shape)(images) for graph in (found.graph, program.graph))
    for a, b in zip(ours, theirs):
        np.testing.assert_array_equal(a, b)


def test_other_files_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"PK\3\4")
    assert not is_program(tmp_path / "a.pt") and not is_program(tmp_path / "absent") and not is_program(tmp_path)
    with pytest.raises(WeightsError, match=r"a\.pt: is not a compiled detector; write it anew"):
        load_program(tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_program(tmp_path / "absent")


def test_another_version_is_named(tmp_path: Path, whole: bytes) -> None:
    with pytest.raises(WeightsError, match="of version 7; this program reads version 1"):
        load_bytes(tmp_path, whole[:8] + struct.pack("<I", 7) + whole[12:])


@pytest.mark.parametrize("length", [0, 7, 8, 43, 44, 60, 1000, -1])
def test_a_file_cut_off(tmp_path: Path, whole: bytes, length: int) -> None:
    with pytest.raises(WeightsError, match=r"not a compiled detector|damaged"):
        load_bytes(tmp_path, whole[:length])


def test_two_thousand_altered_files(tmp_path: Path, whole: bytes) -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            data[place] ^= int(rng.integers(1, 256))
        if rng.random() < 0.2:
            data = data[: rng.integers(0, len(data))]
        with pytest.raises(WeightsError):
            load_bytes(tmp_path, bytes(data))


def content_of(whole: bytes) -> tuple[dict, dict, bytes]:
    """The safetensors header, the description in it, and the rest of the payload."""
    payload = whole[HEAD:]
    (length,) = struct.unpack_from("<Q", payload)
    header = json.loads(payload[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["program"]), payload[8 + length :]


def with_content(header: dict, content: object, rest: bytes) -> bytes:
    header = {**header, "__metadata__": {"program": json.dumps(content)}}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return resealed(struct.pack("<Q", len(text)) + text + rest)


def test_hostile_descriptions_with_a_right_checksum(tmp_path: Path, whole: bytes) -> None:
    """Any value in the description replaced by any other: a clear error, or a detector that runs (see test_mutants)."""
    header, _, rest = content_of(whole)
    rng = np.random.default_rng(1)
    others = [None, -1, 0, 1, 3, 17, 2**20, 2**31, 2**70, 1.5, "", "SiLU", [], [0], [1, 2], {}, True, "nn.ReLU()"]
    refused = 0
    for _ in range(100):
        _, content, _ = content_of(whole)
        replace_somewhere(content, rng, others)
        try:
            program = load_bytes(tmp_path, with_content(header, content, rest))
            program_model("it", program).runner(NmsSettings(max_det=10)).detect(random_images((1, 3, 64, 64)))
        except YoloError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 75


def replace_somewhere(content: object, rng: np.random.Generator, others: list) -> None:
    while True:
        keys = list(content) if isinstance(content, dict) else list(range(len(content)))
        key = keys[rng.integers(len(keys))]
        if not isinstance(content[key], (dict, list)) or not content[key] or rng.random() < 0.1:
            content[key] = others[rng.integers(len(others))]
            return
        content = content[key]


def test_graphs_that_are_none() -> None:
    graph = program_of(two_levels()).graph
    good = graph_to_json(graph)
    assert graph_from_json(good, graph.tensors).nodes == graph.nodes
    late = {**good, "nodes": good["nodes"][::-1]}
    for bad in (None, [], {}, {**good, "outputs": [10**6]}, {**good, "channels": 0}, late, {**good, "outputs": []}):
        with pytest.raises(ValueError):
            graph_from_json(bad, graph.tensors)
    with pytest.raises(ValueError, match="is not there or has another shape"):
        graph_from_json(good, {})


def test_a_header_longer_than_any_is_not_parsed(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="a header of 9000000 bytes; at most 8388608 are read"):
        load_bytes(tmp_path, resealed((9_000_000).to_bytes(8, "little") + b'{"a": {}}'))


def test_a_description_of_many_nodes_costs_little_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the fields of a kind of node are is found out once a kind, not once a node."""
    graph, calls, hints = program_of(two_levels()).graph, [], typing.get_type_hints
    monkeypatch.setattr(typing, "get_type_hints", lambda kind: calls.append(kind) or hints(kind))
    graph_from_json(graph_to_json(graph), graph.tensors)
    assert len(calls) == len(graph_json.KINDS)
    with pytest.raises(ValueError, match="not a list of at most"):
        graph_from_json({**graph_to_json(graph), "nodes": [None] * 100_001}, graph.tensors)
