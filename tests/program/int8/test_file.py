"""The compiled detector's file of an int8 program."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.program.int8.test_build import soft_images
from tests.program.networks import random_images, state_of, two_levels
from tests.program.test_file import content_of, load_bytes, replace_somewhere, with_content
from yolo.errors import WeightsError, YoloError
from yolo.inference.models import program_model
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings
from yolo.program.file import ProgramFile, load_program, save_program
from yolo.program.int8.build import quantise
from yolo.program.lower import lower
from yolo.program.passes import optimise


@pytest.fixture(scope="module")
def program() -> ProgramFile:
    network = two_levels()
    graph, _ = quantise(optimise(lower(network.spec, state_of(network)), "int8"), soft_images(6))
    names = tuple(f"class {number}" for number in range(network.nc))
    return ProgramFile(graph, names, network.strides, network.anchors, "int8", 64)


def test_what_comes_back_computes_the_same(tmp_path: Path, program: ProgramFile) -> None:
    found = load_program(save_program(tmp_path / "a.program", program))
    assert found.precision == "int8" and found.graph.scales == program.graph.scales
    assert any(name.endswith(".mean") for name in found.graph.tensors)
    images = random_images((1, 3, 64, 64))
    ours, theirs = (
        CompiledNetwork(graph, precision="int8").program(images.shape)(images) for graph in (found.graph, program.graph)
    )
    for a, b in zip(ours, theirs):
        np.testing.assert_array_equal(a, b)


def test_the_weights_in_it_are_floats(tmp_path: Path, program: ProgramFile) -> None:
    """So that each machine rounds them to what its instructions can add up."""
    found = load_program(save_program(tmp_path / "a.program", program))
    for name, array in found.graph.tensors.items():
        np.testing.assert_array_equal(array, program.graph.tensors[name])


def test_another_precision_than_its_graph_has(tmp_path: Path, program: ProgramFile) -> None:
    path = save_program(tmp_path / "a.program", dataclasses.replace(program, precision="bf16"))
    with pytest.raises(WeightsError, match="its scales do not fit its precision"):
        load_program(path)


def test_hostile_descriptions_with_a_right_checksum(tmp_path: Path, program: ProgramFile) -> None:
    """Any value in the description replaced by any other: a clear error, or a detector that runs."""
    whole = save_program(tmp_path / "a.program", program).read_bytes()
    header, _, rest = content_of(whole)
    rng = np.random.default_rng(1)
    others = [None, -1, 0, 1, 3, 17, 2**20, 2**31, 2**70, 1.5, 1e300, "", "SiLU", [], [0], [1, 2, 3], {}, True]
    refused = 0
    for number in range(100):
        _, content, _ = content_of(whole)
        replace_somewhere(content["graph"]["scales"] if number % 2 else content, rng, others)
        try:
            found = load_bytes(tmp_path, with_content(header, content, rest))
            program_model("it", found).runner(NmsSettings(max_det=10)).detect(random_images((1, 3, 64, 64)))
        except YoloError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 50
