"""The least memory for images of a size: below what programs take, so that nothing is refused that could run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.bfloat16 import HAS_BF16
from tests.program.networks import narrow_zoo_network, network_of, random_images, state_of, two_levels
from tests.program.training_reference import Subject
from yolo.errors import ConfigError
from yolo.models.network import Network
from yolo.program.compiled import CompiledNetwork
from yolo.program.footprint import image_bytes, inference_bytes, require_memory, training_bytes
from yolo.program.int8.build import quantise
from yolo.program.lower import lower
from yolo.program.passes import optimise

SHAPE = (2, 3, 64, 96)
NETWORKS: dict[str, Callable[[], Network]] = {
    "two levels": two_levels,
    "csp": lambda: network_of("csp"),
    "transposed": lambda: network_of("transposed"),
    "joined": lambda: network_of("joined"),
    "transformer": lambda: network_of("transformer"),
    "yolov5n": lambda: narrow_zoo_network("yolov5n", 0.125),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_inference_takes_more(name: str) -> None:
    network = NETWORKS[name]()
    lowered = lower(network.spec, {})
    for precision in ("fp32", *(["bf16"] if HAS_BF16 else [])):
        program = CompiledNetwork.of(network.spec, state_of(network), precision=precision).program(SHAPE)
        taken = program.memory_bytes + image_bytes(SHAPE)
        for graph in (lowered, optimise(lower(network.spec, state_of(network)), precision)):
            assert 0.05 * taken < inference_bytes(graph, SHAPE, precision) <= taken


def test_int8_takes_more() -> None:
    network = two_levels()
    graph, _ = quantise(optimise(lower(network.spec, state_of(network)), "int8"), list(random_images((4, *SHAPE[1:]))))
    program = CompiledNetwork(graph, precision="int8").program(SHAPE)
    assert inference_bytes(graph, SHAPE, "int8") <= program.memory_bytes + image_bytes(SHAPE)


@pytest.mark.parametrize("frozen", [(), (0, 1)], ids=["all learn", "frozen"])
@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("name", NETWORKS)
def test_training_takes_more(name: str, recompute: bool, frozen: tuple[int, ...]) -> None:
    subject = Subject(NETWORKS[name]())
    names = {slot.name for slot in subject.vector.parameters if int(slot.name.split(".")[1]) in frozen}
    for precision in ("fp32", *(["bf16"] if HAS_BF16 else [])):
        passes = subject.passes(SHAPE, recompute=recompute, frozen=names, precision=precision)
        taken = passes.executor.memory_bytes + image_bytes(SHAPE)
        assert 0.05 * taken < training_bytes(subject.graph, SHAPE, precision, frozen) <= taken


def test_the_line() -> None:
    shape = (16, 3, 100_000, 100_000)
    require_memory(10**9, shape, "--imgsz 100000", 10**9)
    with pytest.raises(ConfigError) as caught:
        require_memory(2 * 10**9, shape, "--imgsz 100000", 10**9)
    assert str(caught.value) == (
        "--imgsz 100000: 16 images of 100000 x 100000 pixels take at least 2.00 GB of memory, and 1.00 GB are free; "
        "lower --imgsz or --batch-size"
    )
    with pytest.raises(ConfigError, match=r"an image of 9 x 8 pixels takes at least 10000 GB .*; lower --imgsz$"):
        require_memory(10**13, (1, 3, 8, 9), "--imgsz 9", 0)


def test_a_size_is_never_too_large_to_be_named() -> None:
    side = 32 * 10**30
    needed = training_bytes(lower(two_levels().spec, {}), (10**12, 3, side, side))
    with pytest.raises(ConfigError, match="GB of memory"):
        require_memory(needed, (10**12, 3, side, side), f"--imgsz {side}")
    assert needed > np.iinfo(np.int64).max


def test_where_nothing_is_left_of_the_images_the_plan_says_so() -> None:
    shape = (2, 3, 0, 0)
    graph = lower(two_levels().spec, {})
    assert inference_bytes(graph, shape) == training_bytes(graph, shape) == image_bytes(shape) == 0
