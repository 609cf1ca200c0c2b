"""int8 nodes against whole numbers in NumPy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.program.int8.networks import Maker, all_int8, random_images, seen
from tests.program.int8.reference import run_whole
from yolo import native
from yolo.program import ir
from yolo.program.compiled import CompiledNetwork
from yolo.program.int8.rules import check_scales
from yolo.program.int8.weights import corrected_bias, quantised_weight
from yolo.program.ir import INPUT, Concat, Graph, Pool, Upsample
from yolo.program.scales import PIXELS, Scale

SHAPES = {
    "images": {"out": 16, "k": 6, "stride": (2, 2), "padding": (2, 2)},
    "3x3": {"out": 24},
    "1x1": {"out": 255, "k": 1},
    "odd": {"out": 10, "k": 3},
    "strided": {"out": 32, "stride": (2, 2)},
    "dilated": {"out": 16, "padding": (2, 2), "dilation": (2, 2)},
    "depthwise": {"out": 16, "groups": 16, "k": 5},
    "grouped": {"out": 32, "groups": 1, "act": "nn.ReLU()"},
    "leaky": {"out": 16, "act": "nn.LeakyReLU(0.1)"},
    "plain": {"out": 16, "act": "nn.Identity()"},
}


def run(graph: Graph, image: np.ndarray) -> np.ndarray:
    check_scales(graph)
    program = CompiledNetwork(graph, precision="int8").program((1, *image.shape))
    assert not any("ref" in step.implementation for step in program.steps)
    return program(image[None])[0][0]


def same_bytes(graph: Graph, value: int, image: np.ndarray) -> None:
    """The executor's bytes of a value are NumPy's, but for roundings of what lies half-way between two."""
    scale, expected = graph.scales[value], run_whole(graph, image)[value]
    found = np.rint(run(seen(graph, value), image) / scale.step + scale.zero)
    assert len(np.unique(expected)) > 20
    off = np.abs(found - expected)
    assert off.max() <= 1 and np.mean(off > 0) < 0.002


@pytest.mark.parametrize("name", SHAPES)
def test_convolutions(name: str) -> None:
    maker = Maker()
    first = INPUT if name == "images" else maker.conv(INPUT, out=16)
    last = maker.conv(first, **SHAPES[name])
    head = maker.conv(last, out=8, k=1, act="nn.Identity()")
    graph, image = all_int8(maker.graph(head)), random_images((3, 23, 31))
    assert graph.scales[INPUT] == PIXELS
    same_bytes(graph, last, image)
    expected = run_whole(graph, image)[head]
    assert np.abs(run(graph, image) - expected).max() <= 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("act", ["nn.SiLU()", "nn.Identity()"])
def test_residuals_of_another_scale(act: str) -> None:
    maker = Maker()
    a = maker.conv(INPUT, out=16)
    b = maker.conv(a, a, out=16, act=act)
    head = maker.conv(b, b, out=16, k=1, act=act)
    graph = all_int8(maker.graph(head))
    graph = dataclasses.replace(graph, scales={**graph.scales, a: Scale(0.017, 20)})
    image = random_images((3, 16, 24))
    same_bytes(graph, b, image)
    expected = run_whole(graph, image)[head]
    np.testing.assert_allclose(run(graph, image), expected, atol=0.02 * np.abs(expected).max())


def test_bytes_that_are_moved() -> None:
    maker = Maker()
    a = maker.conv(INPUT, out=16, stride=(2, 2))
    add = maker.builder.add
    pooled = add(Pool, a, where="p", kernel=5, stride=1, padding=2)
    small = maker.conv(a, out=20, stride=(2, 2))
    big = add(Upsample, small, where="u", scale=2)
    joined = add(Concat, a, pooled, big, where="c")
    head = maker.conv(joined, out=8, k=1)
    graph, image = all_int8(maker.graph(head)), random_images((3, 32, 40))
    assert len({graph.scales[value] for value in (a, pooled, small, big, joined)}) == 1
    same_bytes(graph, joined, image)


def test_the_largest_sums_are_exact() -> None:
    """All weights at the limit, all bytes at 255: kernels that add pairs in 16 bits would saturate beyond it."""
    maker = Maker(channels=16)
    a = maker.conv(INPUT, out=32, k=1, act="nn.Identity()")
    graph = maker.graph(a)
    tensors = {"w0.weight": np.ones((32, 16, 1, 1), np.float32), "w0.bias": np.zeros(32, np.float32)}
    graph = all_int8(dataclasses.replace(graph, tensors=tensors))
    found = run(graph, np.full((16, 8, 8), 255, np.uint8))
    np.testing.assert_allclose(found, 16.0, rtol=1e-5)


def test_weights_in_steps_of_their_channel() -> None:
    weight = np.array([[[[1.0]], [[-0.5]]], [[[0.0]], [[0.0]]], [[[1e-3]], [[-2e-3]]]], np.float32)
    whole, steps = quantised_weight(weight, 64)
    np.testing.assert_array_equal(whole[:, :, 0, 0], [[64, -32], [0, 0], [32, -64]])
    np.testing.assert_allclose(steps, [1 / 64, 1.0, 2e-3 / 64], rtol=1e-6)
    newer = any(word in native.instruction_set() for word in ("vnni", "bf16", "fp16", "amx"))  # all have VNNI
    assert native.weight_limit() == (127 if newer else 64)


def test_floats_to_bytes_and_back() -> None:
    """A float region between int8 ones: halves go to the even byte, what is out of range to the ends."""
    maker = Maker()
    scale = Scale(0.5, 10)
    a = maker.conv(INPUT, out=10, act="nn.Identity()")
    graph = maker.graph(a)
    quantised, back = ir.Quantise((a,), 2, "q"), ir.Dequantise((2,), 3, "d")
    nodes = (*graph.nodes, quantised, back)
    whole = dataclasses.replace(graph, nodes=nodes, outputs=(3,), channels=(3, 10, 10, 10), scales={2: scale})
    image = random_images((3, 9, 11))
    floats = CompiledNetwork(graph).program((1, *image.shape))(image[None])[0][0]
    shifted = dict(graph.tensors)
    shifted["w0.weight"], shifted["w0.bias"] = 30 * shifted["w0.weight"], 30 * shifted["w0.bias"]
    found = run(dataclasses.replace(whole, tensors=shifted), image)
    steps = np.clip(np.rint(30 * floats / 0.5) + 10, 0, 255)
    assert steps.min() == 0 and np.mean(np.abs(found / 0.5 + 10 - steps) > 0) < 0.01


def test_biases_make_up_for_what_rounding_adds_on_average() -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(0, 1, (8, 3, 3, 3)).astype(np.float32), rng.normal(0, 1, 8).astype(np.float32)
    mean = rng.uniform(0.5, 2, 6).astype(np.float32)
    whole, steps = quantised_weight(weight, 7)
    found = corrected_bias(bias, weight, whole, steps, mean)
    for channel in range(8):
        own = mean[:3] if channel < 4 else mean[3:]  # two groups
        real = (weight[channel] * own[:, None, None]).sum() + bias[channel]
        rounded = (whole[channel] * steps[channel] * own[:, None, None]).sum() + found[channel]
        assert rounded == pytest.approx(real, abs=1e-4)
    assert np.abs(found - bias).max() > 0.05
