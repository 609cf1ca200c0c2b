"""Compiled programs against the plain modules."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.bfloat16 import needs_bf16, needs_no_bf16
from tests.program.networks import (
    ROWS,
    narrow_zoo_network,
    network_of,
    random_images,
    raw_heads,
    state_of,
    stirred,
    two_levels,
    zoo_network,
)
from yolo import native
from yolo.program.backends.cpu import CpuBackend
from yolo.program.compiled import MOST_SHAPES, CompiledNetwork

ZOO = ("yolov5n", "yolov5s-transformer", "yolov5s-ghost", "yolov5s-LeakyReLU", "yolov3-tiny", "yolov5n6")
BIG = (
    *("yolov5m", "yolov5x", "yolov5l6", "yolov3", "yolov3-spp", "yolov5-bifpn", "yolov5-fpn", "yolov5-p2"),
    *("yolov5-p34", "yolov5-p6", "yolov5-p7", "yolov5-panet"),
)
"""Of the sizes s to x, which have the same layers: one with channels that are no whole blocks, the deepest, and P6."""


def close(found: list[np.ndarray], expected: list[np.ndarray], limit: float = 1e-5) -> None:
    largest = max(np.abs(head).max() for head in expected)
    assert [head.shape for head in found] == [head.shape for head in expected] and largest > 0
    for ours, theirs in zip(found, expected):
        assert np.abs(ours - theirs).max() <= limit * largest


def compiled(network, **options) -> CompiledNetwork:
    return CompiledNetwork.of(network.spec, state_of(network), **options)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("shape", [(1, 3, 64, 96), (3, 3, 32, 32)])
def test_every_layer_equals_its_module(name: str, shape) -> None:
    network, images = network_of(name), random_images(shape)
    close(compiled(network).program(shape)(images), raw_heads(network, images))


@pytest.mark.parametrize("name", ZOO)
def test_small_models_of_the_zoo(name: str) -> None:
    network, images = zoo_network(name), random_images((1, 3, 128, 192))
    close(compiled(network).program(images.shape)(images), raw_heads(network, images))


@pytest.mark.slow
@pytest.mark.parametrize("name", BIG)
def test_big_models_of_the_zoo(name: str) -> None:
    network, images = stirred(narrow_zoo_network(name, 0.25), 0), random_images((1, 3, 128, 128))
    close(compiled(network).program(images.shape)(images), raw_heads(network, images))


def test_a_fused_checkpoint() -> None:
    from yolo.models.fuse import fold_batchnorm

    network, images = two_levels(), random_images((1, 3, 64, 64))
    found = CompiledNetwork.of(network.spec, fold_batchnorm(state_of(network)))
    close(found.program(images.shape)(images), raw_heads(network, images))


@needs_bf16
@pytest.mark.parametrize("name", [*ROWS])
def test_bfloat16_is_near(name: str) -> None:
    network, images = network_of(name), random_images((2, 3, 64, 64))
    close(compiled(network, precision="bf16").program(images.shape)(images), raw_heads(network, images), 0.03)


@needs_no_bf16
def test_bfloat16_is_refused_without_instructions() -> None:
    with pytest.raises(ValueError, match="no bfloat16 instructions"):
        compiled(two_levels(), precision="bf16").program((1, 3, 64, 64))


def test_repeated_runs_are_bit_equal_and_threads_hardly_matter() -> None:
    network, images = two_levels(), random_images((2, 3, 96, 64))
    two = compiled(network, threads=2).program(images.shape)
    first = two(images)
    for _ in range(20):
        for ours, theirs in zip(two(images), first):
            np.testing.assert_array_equal(ours, theirs)
    close(compiled(network, threads=1).program(images.shape)(images), first, 1e-6)


def test_images_of_a_batch_do_not_touch() -> None:
    network, images = network_of("joined"), random_images((4, 3, 32, 64))
    together = compiled(network).program(images.shape)(images)
    alone = compiled(network).program((1, *images.shape[1:]))
    for number in range(4):
        for ours, theirs in zip(alone(images[number : number + 1]), together):
            np.testing.assert_array_equal(ours[0], theirs[number])


def test_new_weights_reach_programs_that_exist() -> None:
    old, new, images = two_levels(), two_levels(), random_images((1, 3, 64, 64))
    state = {name: values * 1.25 if name.endswith("conv.weight") else values for name, values in state_of(new).items()}
    network = compiled(old)
    program = network.program(images.shape)
    before = program(images)
    network.update(new.spec, state)
    after = program(images)
    assert network.program(images.shape) is program
    fresh = CompiledNetwork.of(new.spec, state).program(images.shape)(images)
    for ours, theirs, earlier in zip(after, fresh, before):
        np.testing.assert_array_equal(ours, theirs)
        assert np.abs(ours - earlier).max() > 1e-3


def test_shapes_are_kept_within_bounds_and_refused_where_nothing_is_left() -> None:
    network = compiled(network_of("pools"))
    first = network.program((1, 3, 16, 16))
    for side in range(2, MOST_SHAPES + 3):
        network.program((1, 3, 16 * side, 16))
    assert network.program((1, 3, 16, 16)) is not first and len(network._programs) == MOST_SHAPES
    with pytest.raises(ValueError, match="nothing is left of images of 2x2"):
        network.program((1, 3, 2, 2))


def test_images_of_another_shape_are_refused() -> None:
    program = compiled(two_levels()).program((1, 3, 64, 64))
    for shape in ((1, 3, 64, 32), (2, 3, 64, 64), (3, 64, 64)):
        with pytest.raises(ValueError, match="another shape"):
            program(random_images(shape))


def test_many_threads_share_a_program() -> None:
    network, images = two_levels(), random_images((8, 1, 3, 64, 64))
    program = compiled(network).program((1, 3, 64, 64))
    expected = [program(image) for image in images]
    wrong = []

    def work(number: int) -> None:
        for turn in range(40):
            which = (number + turn) % 8
            for ours, theirs in zip(program(images[which]), expected[which]):
                if not np.array_equal(ours, theirs):
                    wrong.append((number, turn))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_profile_names_steps_kernels_and_costs() -> None:
    network, images = zoo_network("yolov5n"), random_images((1, 3, 64, 64))
    program = compiled(network).program(images.shape)
    program.profile()
    program(images)
    steps = program.steps
    assert {step.kind for step in steps} == {"load", "conv", "max_pool", "upsample", "store"}  # nothing is copied
    assert sum(step.kind == "conv" for step in steps) == 60 - 8  # the two first convolutions of eight C3 are one
    assert not any("ref" in step.implementation for step in steps)
    assert sum(step.flops for step in steps) == pytest.approx(4.468e9 / 100, rel=1e-3)
    assert all(step.milliseconds > 0 and step.bytes > 0 for step in steps)


@pytest.mark.parametrize("runs, most", [(1_000, 0.003), pytest.param(30_000, 0.01, marks=pytest.mark.stress)])
def test_memory_does_not_grow(runs: int, most: float) -> None:
    def resident() -> int:
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[1])

    network, images = two_levels(), random_images((1, 3, 64, 64))
    program = compiled(network).program(images.shape)
    for _ in range(500):
        program(images)
    before = resident()
    for _ in range(runs):
        program(images)
    assert resident() < (1 + most) * before


def test_a_graph_is_planned_for_the_blocks_of_the_processor() -> None:
    network = network_of("joined")
    found = compiled(network)
    copies = sum(step.kind in ("gather", "scatter") for step in found.plan((1, 3, 64, 64)).forward)
    assert copies > 0 if found.target.block == 16 else copies >= 0
    assert found.program((1, 3, 64, 64)).memory_bytes < 4 * 64 * 64 * 64


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=needs_bf16)])
@pytest.mark.parametrize("name", ["yolov5n", "yolov5s-transformer", "yolov5s-ghost", "yolov5s-LeakyReLU"])
def test_any_number_of_threads_gives_the_same_in_every_bit(name: str, precision: str) -> None:
    """Which of them runs an image depends on what else there is to do (``yolo.inference.lanes``)."""
    network, images = zoo_network(name), random_images((1, 3, 96, 160))
    for exact in (False, True):
        options = {"precision": precision, "exact": exact}
        alone, *others = (compiled(network, threads=number, **options) for number in (1, 2, 3, 8))
        expected = alone.program(images.shape)(images)
        for other in others:
            for ours, theirs in zip(other.program(images.shape)(images), expected):
                np.testing.assert_array_equal(ours, theirs)


def test_lanes_share_weights_and_run_beside_one_another() -> None:
    old, images = two_levels(), random_images((6, 1, 3, 64, 64))
    network = compiled(old, threads=3)
    lanes = network.lanes()
    assert len(lanes) == 3 and network.lanes() == lanes and lanes[0].lanes() == []
    assert {lane.target.threads for lane in lanes} == {1} and {id(lane._weights) for lane in lanes} == {
        id(network._weights)
    }
    assert compiled(old, threads=1).lanes() == []
    expected = [network.program((1, 3, 64, 64))(image) for image in images]
    programs = [lane.program((1, 3, 64, 64)) for lane in lanes]
    calls = [(program, number) for number in range(len(images)) for program in programs for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda call: call[0](images[call[1]]), calls))
    for (_, number), heads in zip(calls, found):
        assert all(map(np.array_equal, heads, expected[number]))
    assert {lane._memory.bytes for lane in lanes} == {network._memory.bytes}  # the largest was there first
    state = {name: values * 1.25 if name.endswith("conv.weight") else values for name, values in state_of(old).items()}
    network.update(old.spec, state)
    for ours, theirs in zip(lanes[1].program((1, 3, 64, 64))(images[0]), network.program((1, 3, 64, 64))(images[0])):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(ours, expected[0][-1])


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=needs_bf16)])
def test_images_of_a_batch_go_side_by_side_where_no_thread_is_idle(precision: str) -> None:
    network, images = zoo_network("yolov5n"), random_images((7, 3, 64, 96))
    one, three = (compiled(network, threads=threads, precision=precision) for threads in (1, 3))
    for count in (1, 2, 3, 4, 7):
        program = three.program((count, 3, 64, 96))
        assert isinstance(program, native.SideBySide) == (count >= 3)
        for ours, theirs in zip(program(images[:count]), one.program((count, 3, 64, 96))(images[:count])):
            np.testing.assert_array_equal(ours, theirs)
    assert program.memory_bytes == 3 * one.program((1, 3, 64, 96)).memory_bytes and len(program.steps) > 60
    assert one.pixels_at_once == 640 * 640 and three.pixels_at_once == 6 * 640 * 640
    with pytest.raises(ValueError, match="another shape"):
        program(images[:3])


def test_a_batch_goes_one_after_the_other_where_lanes_have_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    network, images = compiled(two_levels(), threads=2), random_images((2, 3, 64, 64))
    lanes = network.lanes()
    monkeypatch.setattr(lanes[1].backend, "free_memory", lambda: 0)
    monkeypatch.setattr(network, "backend", CpuBackend())
    program = network.program(images.shape)
    assert isinstance(program, native.Executor)
    expected = compiled(two_levels(), threads=1).program(images.shape)(images)
    assert all(map(np.array_equal, program(images), expected))


def test_lanes_that_do_not_fit_are_refused() -> None:
    network = compiled(two_levels(), threads=2)
    (first, second), memory = network.lanes(), network._memory
    right = first.program((1, 3, 64, 64))
    wrong = (
        [],
        [right, second.program((1, 3, 64, 32))],
        [first.program((2, 3, 64, 64))],
        [network.program((1, 3, 64, 64))],
    )
    for lanes in wrong:
        with pytest.raises(ValueError, match="lanes"):
            native.SideBySide(lanes, 2, memory)
    with pytest.raises(ValueError, match="images"):
        native.SideBySide([right], 0, memory)
