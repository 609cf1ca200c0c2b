"""Which algorithm a plan says for its convolutions, and whole networks by it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.parity import PARITY, needs_parity
from tests.program.networks import random_images, state_of, zoo_network
from yolo import native
from yolo.data.images import read_image
from yolo.data.letterbox import fit, letterbox
from yolo.models.weights.load import load_weights
from yolo.program.compiled import CompiledNetwork
from yolo.program.inference.planner import plan_inference
from yolo.program.lower import lower
from yolo.program.passes import optimise
from yolo.program.plan import Plan, Step
from yolo.program.target import Target


def chosen(plan: Plan, *algorithms: str) -> list[Step]:
    return [step for step in plan.forward if step.attributes.get("algorithm") in algorithms]


WINOGRAD = ("winograd", "winograd_2x2")
CPU = Target("cpu", "avx2", 8, "fp32", 2, 64)
needs_fast = pytest.mark.skipif(
    not native.instruction_set().startswith(("avx2", "avx512")), reason="here all convolutions are direct"
)


def test_the_plan_chooses_by_shape() -> None:
    network = zoo_network("yolov5n")
    graph, large = optimise(lower(network.spec, state_of(network))), (1, 3, 640, 640)
    plan = plan_inference(graph, large, CPU)
    assert plan == plan_inference(graph, large, CPU)
    shapes = {
        (algorithm, stride): [
            (step.views["source"][0].channels, step.views["source"][0].height)
            for step in chosen(plan, algorithm)
            if step.attributes["stride"] == (stride, stride)
        ]
        for algorithm in WINOGRAD
        for stride in (1, 2)
    }
    assert shapes == {
        ("winograd", 1): [
            *[(16, 160)] * 1,
            *[(32, 80)] * 2,
            *[(64, 40)] * 3,
            *[(128, 20)] * 1,
            *((64, 40), (32, 80), (64, 40), (128, 20)),
        ],
        ("winograd", 2): [(32, 160), (64, 80), (64, 80)],
        ("winograd_2x2", 1): [],
        ("winograd_2x2", 2): [(128, 40), (128, 40)],
    }
    assert all(step.attributes["kernel"] == (3, 3) for step in chosen(plan, *WINOGRAD))
    lines = "\n".join(plan.lines())
    assert "algorithm=winograd" in lines and "algorithm=winograd_2x2" in lines
    tiny = chosen(plan_inference(graph, (1, 3, 64, 64), CPU), *WINOGRAD)
    assert {step.views["source"][0].height for step in tiny} == {16}  # of the smaller ones too few tiles are left


@pytest.mark.parametrize(
    "target",
    [
        dataclasses.replace(CPU, instructions="sse41"),
        dataclasses.replace(CPU, precision="bf16"),
        dataclasses.replace(CPU, precision="int8"),
        Target("cuda", "CUDA", 8, "fp32", 1, 0),
    ],
    ids=str,
)
def test_other_targets_stay_direct(target: Target) -> None:
    network = zoo_network("yolov5n")
    plan = plan_inference(optimise(lower(network.spec, state_of(network))), (1, 3, 640, 640), target)
    assert not chosen(plan, *WINOGRAD) and any(step.attributes.get("algorithm") == "direct" for step in plan.forward)


@needs_fast
def test_exact_programs_are_direct() -> None:
    network, images = zoo_network("yolov5n"), random_images((1, 3, 160, 160))
    fast, exact = (CompiledNetwork.of(network.spec, state_of(network), exact=exact) for exact in (False, True))
    assert chosen(fast.plan(images.shape), *WINOGRAD) and not chosen(exact.plan(images.shape), *WINOGRAD)
    names = {step.implementation for step in fast.program(images.shape).steps}
    assert any(name.startswith("winograd:") for name in names)
    assert not any(step.implementation.startswith("winograd") for step in exact.program(images.shape).steps)
    ours, theirs = fast.program(images.shape)(images), exact.program(images.shape)(images)
    assert 0 < max(np.abs(a - b).max() for a, b in zip(ours, theirs)) < 1e-4


@needs_fast
def test_new_weights_reach_programs_of_all_shapes() -> None:
    network = zoo_network("yolov5n")
    old = state_of(network)
    new = {name: values * 1.1 if name.endswith("conv.weight") else values for name, values in old.items()}
    compiled = CompiledNetwork.of(network.spec, old)
    shapes = [(1, 3, 128, 160), (2, 3, 128, 128)]
    programs = [compiled.program(shape) for shape in shapes]
    assert all(chosen(compiled.plan(shape), *WINOGRAD) for shape in shapes)
    compiled.update(network.spec, new)
    fresh = CompiledNetwork.of(network.spec, new)
    for shape, program in zip(shapes, programs):
        images = random_images(shape)
        for ours, theirs in zip(program(images), fresh.program(shape)(images)):
            np.testing.assert_array_equal(ours, theirs)


@needs_fast
@needs_parity
@pytest.mark.parametrize("name", ["yolov5n", "yolov5s"])
def test_logits_of_a_photograph(name: str) -> None:
    checkpoint = load_weights(PARITY / "weights" / f"{name}.pt")
    pixels = read_image(PARITY / "data" / "bus.jpg")
    images = letterbox(pixels, fit(pixels.shape[:2], (640, 640)))[None]
    fast, exact = (
        CompiledNetwork.of(checkpoint.spec, checkpoint.model, exact=exact).program(images.shape)(images)
        for exact in (False, True)
    )
    assert max(np.abs(head).max() for head in exact) > 5
    for ours, theirs in zip(fast, exact):
        assert np.abs(ours - theirs).max() <= 1e-4
