"""Convolutions of bfloat16 by AMX: against sums in double precision of numbers that are rounded as the kernels' are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.program.conv_layer import ACTIVATIONS, assert_near
from tests.program.int8.networks import Maker, random_images
from yolo import native
from yolo.program.compiled import CompiledNetwork
from yolo.program.inference.algorithm import AMX, DIRECT, algorithm
from yolo.program.ir import INPUT, Conv, Graph
from yolo.program.target import Target

needs_amx = pytest.mark.skipif(not native.has_amx(), reason=f"no AMX ({native.instruction_set()})")
CASES = {
    "images": {"k": 6, "stride": (2, 2), "padding": (2, 2)},
    "1x1": {"k": 1},
    "1x1 of stride 2": {"k": 1, "stride": (2, 2)},
    "3x3": {},
    "3x3 of stride 2": {"stride": (2, 2)},
    "3x3 of strides 1 and 3": {"stride": (1, 3)},
    "3x3 without padding": {"padding": (0, 0)},
    "2x2 without padding": {"k": 2, "padding": (0, 0)},
    "5x5 of stride 3": {"k": 5, "stride": (3, 3)},
}
SIZES = ((7, 9), (3, 5), (23, 31), (12, 64), (20, 20))
CHANNELS = ((3, 8), (16, 16), (24, 40), (32, 32), (48, 33), (80, 70))
"""Of the source and of the target; blocks have 16, products 32."""
ROUNDING = 2.0**-9
"""Of bfloat16, half of the last of 8 bits."""


def rounded(values: np.ndarray) -> np.ndarray:
    """To bfloat16, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return bits.view(np.float32).astype(np.float64)


def in_double(graph: Graph, image: np.ndarray) -> dict[int, np.ndarray]:
    """Every value for an image uint8 ``[C, H, W]``; what is no output is rounded."""
    values = {INPUT: rounded(image / np.float32(255))}
    for node in graph.nodes:
        source, *residual = (values[value] for value in node.inputs)
        weight = rounded(graph.tensors[f"{node.weights}.weight"])
        (above, left), (kh, kw), (sy, sx) = node.padding, node.kernel, node.stride
        padded = np.pad(source, ((0, 0), (above, above), (left, left)))
        height, width = (padded.shape[1] - kh) // sy + 1, (padded.shape[2] - kw) // sx + 1
        total = np.zeros((len(weight), height, width)) + graph.tensors[f"{node.weights}.bias"][:, None, None]
        for y in range(kh):
            for x in range(kw):
                part = padded[:, y : y + sy * (height - 1) + 1 : sy, x : x + sx * (width - 1) + 1 : sx]
                total += np.tensordot(weight[:, :, y, x], part, 1)
        made = ACTIVATIONS[node.activation.name][1](total) + (residual[0] if residual else 0.0)
        values[node.output] = made if node.output in graph.outputs else rounded(made)
    return values


def run(graph: Graph, images: np.ndarray, threads: int = 1) -> np.ndarray:
    program = CompiledNetwork(graph, precision="bf16", threads=threads).program(images.shape)
    convolutions = [step.implementation for step in program.steps if step.kind == "conv"]
    assert convolutions == ["amx:bf16"] * len(graph.nodes)
    return program(images)[0].copy()


def graph_of(source: int, out: int, act: str = "nn.Identity()", residual: bool = False, **case) -> Graph:
    """Images of ``source`` channels through a convolution into floats; of more than 4 by way of a first one."""
    maker = Maker(channels=min(source, 3))
    before = maker.conv(INPUT, out=source, act="nn.ReLU()", k=3) if source > 3 else INPUT
    made = maker.conv(before, *([before] if residual else []), out=out, act=act, **case)
    return maker.graph(made)


@needs_amx
@pytest.mark.parametrize("channels", CHANNELS, ids=lambda pair: "x".join(map(str, pair)))
@pytest.mark.parametrize("name", CASES)
def test_shapes(name: str, channels: tuple[int, int]) -> None:
    graph = graph_of(*channels, **CASES[name])
    for size in SIZES:
        images = random_images((2, 3, *size))
        found = run(graph, images)
        for image, head in zip(images, found):
            # Where the first layer's sum lies half-way between two, it is rounded to another side.
            assert_near(head, in_double(graph, image)[graph.outputs[0]], 1e-5 if channels[0] == 3 else 1e-3)
        for threads in (2, 3):
            np.testing.assert_array_equal(run(graph, images, threads), found)


@needs_amx
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str, residual: bool) -> None:
    """Of floats they are exact, of bfloat16 within its rounding; lanes without a channel are zeros."""
    value = ACTIVATIONS[name][0]
    act = f"nn.{name}({value})" if value else f"nn.{name}()"
    last = graph_of(24, 24, act, residual)
    image = random_images((3, 9, 14))
    assert_near(run(last, image[None])[0], in_double(last, image)[last.outputs[0]], 1e-3)
    maker = Maker(channels=3)
    first = maker.conv(INPUT, out=21, act="nn.ReLU()")
    made = maker.conv(first, *([first] if residual else []), out=21, act=act)
    graph = maker.graph(maker.conv(made, out=40, k=1, act="nn.Identity()"))
    assert_near(run(graph, image[None], 2)[0], in_double(graph, image)[graph.outputs[0]], 4 * ROUNDING)


@needs_amx
def test_the_same_as_onednn_computes_within_its_rounding() -> None:
    graph, images = graph_of(48, 64, "nn.SiLU()"), random_images((1, 3, 40, 56))
    (direct,) = CompiledNetwork(graph, precision="bf16", exact=True).program(images.shape)(images)
    assert_near(run(graph, images), direct, 1e-3)


def test_where_it_is_chosen() -> None:
    plain = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1, "transposed": False}
    node = graph_of(16, 16).nodes[-1]
    assert isinstance(node, Conv)
    with_amx = Target("cpu", "avx512_core_amx", 16, "bf16", 2, 0, amx=True)

    def chosen(target: Target = with_amx, **others) -> str:
        return algorithm(dataclasses.replace(node, **{**plain, **others}), (16, 16), (80, 80), target)

    assert chosen() == AMX
    assert chosen(dataclasses.replace(with_amx, amx=False)) == DIRECT
    assert chosen(dataclasses.replace(with_amx, precision="int8")) == DIRECT  # a float one of an int8 graph
    for others in ({"dilation": (2, 2)}, {"groups": 16}, {"transposed": True}, {"padding": (3, 3)}):
        assert chosen(**others) == DIRECT
    assert Target.of(precision="fp32").amx is False
    if native.has_bfloat16():
        assert Target.of(precision="bf16").amx is native.has_amx()


@needs_amx
def test_what_it_is_not_for_is_refused() -> None:
    graph, images = graph_of(16, 16), random_images((1, 3, 16, 16))
    compiled = CompiledNetwork(graph, precision="bf16")
    plan = compiled.plan(images.shape)
    for others in ({"dilation": (2, 2), "padding": (2, 2)}, {"groups": 2}):
        steps = [
            dataclasses.replace(step, attributes={**step.attributes, **others})
            if step.where == graph.nodes[-1].where
            else step
            for step in plan.forward
        ]
        with pytest.raises(ValueError, match="is no convolution for AMX"):
            native.Executor(dataclasses.replace(plan, forward=tuple(steps)))
    floats = CompiledNetwork(graph).plan(images.shape)
    steps = [
        dataclasses.replace(step, attributes={**step.attributes, "algorithm": AMX}) if step.kind == "conv" else step
        for step in floats.forward
    ]
    with pytest.raises(ValueError, match="takes bfloat16 for AMX"):
        native.Executor(dataclasses.replace(floats, forward=tuple(steps)))
