"""3x3 convolutions by Winograd's algorithm: against sums in double precision, and against direct ones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

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
from yolo.program.plan import Plan, Step, TensorView
from yolo.program.target import Target

BLOCK = Target.of().block
ERROR = 2e-5
"""Of the largest output, against double precision; a direct convolution is allowed a fifth."""
CASES = (
    *((4, 4, 1, 1), (5, 5, 2, 1), (7, 7, 1, 3), (15, 15, 4, 4), (16, 16, 3, 2), (21, 21, 2, 5), (80, 80, 1, 2)),
    *((20, 20, 8, 16), (1, 9, 2, 2), (30, 3, 2, 3), (13, 37, 3, 3)),
)
"""Height, width, source and target channels in blocks of 16."""
ACTIVATIONS: dict[str, tuple[float, Callable[[np.ndarray], np.ndarray]]] = {
    "Identity": (0.0, lambda u: u),
    "SiLU": (0.0, lambda u: u / (1 + np.exp(-u))),
    "ReLU": (0.0, lambda u: np.maximum(u, 0)),
    "ReLU6": (0.0, lambda u: np.clip(u, 0, 6)),
    "LeakyReLU": (0.1, lambda u: np.where(u > 0, u, 0.1 * u)),
    "Hardswish": (0.0, lambda u: u * np.clip(u + 3, 0, 6) / 6),
    "Sigmoid": (0.0, lambda u: 1 / (1 + np.exp(-u))),
    "Mish": (0.0, lambda u: u * np.tanh(np.logaddexp(0, u))),
    "GELU": (0.0, lambda u: u * (0.5 + 0.5 * np.vectorize(math.erf)(u / math.sqrt(2)))),
    "Tanh": (0.0, np.tanh),
    "ELU": (0.7, lambda u: np.where(u > 0, u, 0.7 * np.expm1(np.minimum(u, 0)))),
}


@dataclasses.dataclass
class Layer:
    """A convolution between the images, divided by 64, and the head."""

    height: int
    width: int
    source: int
    target: int
    activation: str = "SiLU"
    bias: bool = True
    residual: bool = False
    images: int = 1

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        self.weight = rng.normal(0, (2 / (9 * self.source)) ** 0.5, (self.target, self.source, 3, 3)).astype(np.float32)
        self.shift = rng.normal(0, 0.3, self.target).astype(np.float32)
        self.pixels = rng.integers(0, 256, (self.images, self.source, self.height, self.width), np.uint8)

    def constants(self) -> native.Weights:
        weights = native.Weights()
        weights.set("w.weight", self.weight)
        weights.set("w.bias", self.shift)
        return weights

    def plan(self, algorithm: str = "winograd", threads: int = 1, per_image: bool = True, **instead) -> Plan:
        size = (self.height, self.width)
        together = 1 if per_image else self.images
        bytes_ = together * max(self.source, self.target) * self.height * self.width * 4
        one, two, three = (
            TensorView(number * bytes_, channels, *size, 4, "blocked", 0, channels)
            for number, channels in enumerate((self.source, self.target, self.source))
        )
        pairs = {"kernel": (3, 3), "stride": (1, 1), "padding": (1, 1), "dilation": (1, 1)}
        named = {"groups": 1, "transposed": False, "weights": "w", "bias": self.bias, "activation": self.activation}
        named |= {"value": ACTIVATIONS[self.activation][0], "algorithm": algorithm}
        views = {"source": (one,), "target": (two,)} | ({"residual": (three,)} if self.residual else {})
        load = [Step("load_images", "input", {"target": (to,)}, {"divisor": 64.0}) for to in (one, three)]
        conv = Step("conv", "layer", views, {**pairs, **named, **instead})
        store = Step("store_head", "output", {"source": (two,)}, {"number": 0})
        target = dataclasses.replace(Target.of(threads=threads))
        head = (self.images, self.target, *size)
        steps = (*load[: 1 + self.residual], conv, store)
        return Plan(target, self.pixels.shape, (head,), 3 * bytes_, steps, per_image=per_image)

    def run(self, *args, **kwargs) -> np.ndarray:
        (head,) = native.Executor(self.plan(*args, **kwargs), weights=self.constants())(self.pixels)
        return head

    def in_double(self) -> np.ndarray:
        x = self.pixels / 64.0
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        total = np.zeros((self.images, self.height, self.width, self.target))
        for row in range(3):
            for column in range(3):
                part = padded[:, :, row : row + self.height, column : column + self.width]
                total += part.transpose(0, 2, 3, 1) @ self.weight[:, :, row, column].T.astype(np.float64)
        total = total.transpose(0, 3, 1, 2) + (self.shift[:, None, None] if self.bias else 0.0)
        return ACTIVATIONS[self.activation][1](total) + (x if self.residual else 0.0)


def assert_near(found: np.ndarray, expected: np.ndarray, limit: float) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= limit * np.abs(expected).max()


@pytest.mark.parametrize("case", CASES, ids=lambda case: "x".join(map(str, case)))
def test_shapes(case: tuple[int, int, int, int]) -> None:
    height, width, source, target = case
    layer = Layer(height, width, 16 * source, 16 * target)
    expected, found = layer.in_double(), layer.run()
    assert_near(found, expected, ERROR)
    assert_near(layer.run("direct"), expected, ERROR / 5)
    for threads in (1, 2, 3):  # each sum is one thread's, in one order
        np.testing.assert_array_equal(layer.run(threads=threads), found)


@pytest.mark.parametrize("blocks", [(1, 1), (3, 1), (2, 3), (5, 4)])
def test_any_number_of_blocks(blocks: tuple[int, int]) -> None:
    layer = Layer(6, 9, BLOCK * blocks[0], BLOCK * blocks[1])
    assert_near(layer.run(threads=2), layer.in_double(), ERROR)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation: str, bias: bool, residual: bool) -> None:
    layer = Layer(9, 14, 32, 32, activation, bias, residual)
    for threads in (1, 3):
        assert_near(layer.run(threads=threads), layer.in_double(), ERROR)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("side", [8, 40])
def test_batches(side: int, per_image: bool) -> None:
    layer = Layer(side, side, 16, 32, images=3)
    found = layer.run(threads=2, per_image=per_image)
    assert_near(found, layer.in_double(), ERROR)
    for number in range(3):
        alone = dataclasses.replace(layer, images=1)
        alone.pixels = layer.pixels[number : number + 1]
        np.testing.assert_array_equal(alone.run()[0], found[number])


def test_part_of_a_map() -> None:
    """The channels of a joined map are read and written where they are, and nothing beside them."""
    layer = Layer(10, 11, 32, 32)
    plan = layer.plan(threads=2)
    load, conv, store = plan.forward
    (whole,) = load.views["target"]
    (target,) = conv.views["target"]
    half = dataclasses.replace(target, channels=16, first=16)
    beside = dataclasses.replace(load, views={"target": (dataclasses.replace(whole, offset=target.offset),)})
    steps = (load, beside, dataclasses.replace(conv, views={**conv.views, "target": (half,)}), store)
    weights = layer.constants()
    weights.set("w.weight", layer.weight[:16])
    weights.set("w.bias", layer.shift[:16])
    (head,) = native.Executor(dataclasses.replace(plan, forward=steps), weights=weights)(layer.pixels)
    assert_near(head[:, 16:], layer.in_double()[:, :16], ERROR)
    np.testing.assert_array_equal(head[:, :16], layer.pixels[:, :16] / np.float32(64))


def test_weights_are_transformed_once_and_replaced() -> None:
    layer = Layer(16, 16, 32, 32)
    weights = layer.constants()
    small = dataclasses.replace(layer, height=8, width=8)
    one, two = (native.Executor(made.plan(), weights=weights) for made in (layer, small))
    one(layer.pixels)
    layer.weight, layer.shift = layer.weight[::-1].copy(), layer.shift + 1
    small.weight, small.shift = layer.weight, layer.shift
    weights.set("w.weight", layer.weight)
    weights.set("w.bias", layer.shift)
    for executor, made in ((one, layer), (two, small)):
        np.testing.assert_array_equal(executor(made.pixels)[0], made.run())
    with pytest.raises(ValueError, match="another shape"):
        weights.set("w.weight", layer.weight[:16])


def test_memory_is_counted() -> None:
    """Maps, scratch, 36 numbers for each pair of channels, which all programs share, and the bias."""
    layer = Layer(12, 12, 48, 32)
    weights, plan = layer.constants(), layer.plan(threads=2)
    transformed = 36 * 48 * 32 * 4
    needed = native.Executor(plan, weights=layer.constants()).memory_bytes + transformed + 32 * 4
    with pytest.raises(ValueError, match="layer: needs more memory than there is"):
        native.Executor(plan, weights=weights, limits=native.Limits(needed - transformed, 1e12))
    with pytest.raises(ValueError, match="needs more memory than there is"):
        native.Executor(plan, weights=layer.constants(), limits=native.Limits(needed - 1, 1e12))
    weights = layer.constants()
    kept = native.Executor(plan, weights=weights, limits=native.Limits(needed, 1e12))
    again = native.Executor(plan, weights=weights, limits=native.Limits(needed - transformed - 32 * 4, 1e12))
    np.testing.assert_array_equal(kept(layer.pixels)[0], again(layer.pixels)[0])


def narrow(plan: Plan, role: str, **fields: int) -> Plan:
    """The plan with another view in its convolution."""
    *before, conv, store = plan.forward
    view = dataclasses.replace(conv.views[role][0], **fields)
    conv = dataclasses.replace(conv, views={**conv.views, role: (view,)})
    return dataclasses.replace(plan, forward=(*before, conv, store))


@pytest.mark.parametrize(
    "other",
    [
        {"kernel": (1, 1), "padding": (0, 0)},
        {"kernel": (5, 5), "padding": (2, 2)},
        {"dilation": (2, 2), "padding": (2, 2)},
        {"groups": 2},
        {"transposed": True},
    ],
    ids=str,
)
def test_other_convolutions_are_refused(other: dict) -> None:
    layer = Layer(8, 8, 32, 32)
    with pytest.raises(ValueError, match="layer: is no convolution for Winograd's algorithm"):
        native.Executor(layer.plan(**other), weights=layer.constants())


def test_other_maps_and_algorithms_are_refused() -> None:
    layer = Layer(8, 8, 32, 32)
    for role in ("source", "target"):
        with pytest.raises(ValueError, match="layer: takes whole blocks of floats"):
            native.Executor(narrow(layer.plan(), role, channels=31), weights=layer.constants())
    plain = narrow(layer.plan(), "source", layout="nchw")
    with pytest.raises(ValueError, match="layer: takes maps whose channels lie in blocks"):
        native.Executor(plain, weights=layer.constants())
    with pytest.raises(ValueError, match="layer: has an algorithm that is not known"):
        native.Executor(layer.plan("fast"), weights=layer.constants())
    with pytest.raises(ValueError, match="layer: its weights are not there or have another shape"):
        native.Executor(layer.plan(), weights=Layer(8, 8, 16, 32).constants())


def test_another_machines_plan_is_refused() -> None:
    layer = Layer(8, 8, 32, 32)
    plan = layer.plan()
    other = dataclasses.replace(plan.target, block=24 - BLOCK)
    with pytest.raises(ValueError, match=f"the plan is for blocks of {other.block} channels"):
        native.Executor(dataclasses.replace(plan, target=other), weights=layer.constants())


def chosen(plan: Plan) -> list[Step]:
    return [step for step in plan.forward if step.attributes.get("algorithm") == "winograd"]


CPU = Target("cpu", "avx2", 8, "fp32", 2, 64)
needs_fast = pytest.mark.skipif(
    not native.instruction_set().startswith(("avx2", "avx512")), reason="here all convolutions are direct"
)


def test_the_plan_chooses_by_shape() -> None:
    network = zoo_network("yolov5n")
    graph, large = optimise(lower(network.spec, state_of(network))), (1, 3, 640, 640)
    steps = chosen(plan_inference(graph, large, CPU))
    assert [(step.views["source"][0].channels, step.views["source"][0].height) for step in steps] == [
        *[(16, 160)] * 1,
        *[(32, 80)] * 2,
        *[(64, 40)] * 3,
        *[(128, 20)] * 1,
        *((64, 40), (32, 80), (64, 40), (128, 20)),
    ]
    assert all(step.attributes["stride"] == (1, 1) and step.attributes["kernel"] == (3, 3) for step in steps)
    assert plan_inference(graph, large, CPU) == plan_inference(graph, large, CPU)
    assert "algorithm=winograd" in "\n".join(plan_inference(graph, large, CPU).lines())
    tiny = chosen(plan_inference(graph, (1, 3, 64, 64), CPU))
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
    assert not chosen(plan) and any(step.attributes.get("algorithm") == "direct" for step in plan.forward)


@needs_fast
def test_exact_programs_are_direct() -> None:
    network, images = zoo_network("yolov5n"), random_images((1, 3, 160, 160))
    fast, exact = (CompiledNetwork.of(network.spec, state_of(network), exact=exact) for exact in (False, True))
    assert chosen(fast.plan(images.shape)) and not chosen(exact.plan(images.shape))
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
    assert all(chosen(compiled.plan(shape)) for shape in shapes)
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
