"""Our own kernels for convolutions of bytes: against whole numbers in NumPy, against one another and oneDNN's."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from tests.program.int8.networks import Maker, all_int8, random_images, seen
from tests.program.int8.reference import PLAIN_ACTIVATIONS, run_whole
from yolo import native
from yolo.program.inference.algorithm import DIRECT, FOURS, WINOGRAD, int8_algorithm
from yolo.program.inference.constants import pack_weights
from yolo.program.inference.planner import plan_inference
from yolo.program.int8.weights import MOST_OF_FOUR, MOST_SUM, quantised_for_winograd, quantised_in_fours
from yolo.program.ir import INPUT, Conv, Graph
from yolo.program.plan import Plan, Step
from yolo.program.scales import Scale
from yolo.program.target import Target

HERE = Target.of(precision="int8")
OLDER = dataclasses.replace(
    HERE, instructions="avx512_core" if HERE.block == 16 else "avx2", weight_limit=64, amx=False
)
"""A processor without VNNI, with blocks as wide as this one's."""
each_target = pytest.mark.parametrize(
    "target",
    [OLDER, pytest.param(HERE, marks=pytest.mark.skipif(not HERE.amx, reason="this processor has no AMX"))],
    ids=["fours", "amx"],
)
CASES = {
    "images": {"source": 3, "out": 16, "k": 6, "stride": (2, 2), "padding": (2, 2)},
    "1x1": {"source": 16, "out": 24, "k": 1},
    "1x1 of odd channels": {"source": 13, "out": 9, "k": 1},
    "1x1 of stride 2": {"source": 16, "out": 16, "k": 1, "stride": (2, 2)},
    "1x1 with padding": {"source": 16, "out": 8, "k": 1, "padding": (0, 0), "stride": (1, 2)},
    "3x3": {"source": 2 * HERE.block, "out": 32, "k": 3},
    "3x3 of many channels": {"source": 6 * HERE.block, "out": 3 * HERE.block, "k": 3},
    "3x3 in fours": {"source": HERE.block, "out": 32, "k": 3},
    "3x3 of odd channels": {"source": 7, "out": 21, "k": 3},
    "3x3 of stride 2": {"source": 24, "out": 40, "k": 3, "stride": (2, 2)},
    "3x3 without padding": {"source": 8, "out": 17, "k": 3, "padding": (0, 0)},
    "5x5": {"source": 5, "out": 11, "k": 5},
    "wide": {"source": 16, "out": 255, "k": 1},
}
SIZES = ((23, 31), (3, 5), (7, 64), (20, 20))


def layer(source: int, act: str = "nn.SiLU()", residual: bool = False, **others) -> Graph:
    """A convolution of images of ``source`` channels into bytes; with a residual, a second one that adds the first."""
    maker = Maker(channels=source)
    made = maker.conv(INPUT, act=act, **others)
    if residual:
        made = maker.conv(made, made, act=act, out=others["out"])
    last = maker.conv(made, out=8, k=1)
    return seen(all_int8(maker.graph(last)), made)


def with_algorithm(plan: Plan, algorithm: str) -> Plan:
    """The plan whose convolutions that can be are computed by another algorithm."""

    def changed(step: Step) -> Step:
        by_winograd = step.attributes.get("algorithm") == WINOGRAD
        if step.kind != "int8_conv" or (algorithm == WINOGRAD and not by_winograd):
            return step
        return dataclasses.replace(step, attributes={**step.attributes, "algorithm": algorithm})

    return dataclasses.replace(plan, forward=tuple(map(changed, plan.forward)))


def run(
    graph: Graph, images: np.ndarray, threads: int = 1, algorithm: str | None = None, target: Target = OLDER
) -> np.ndarray:
    """The head; ``algorithm``: instead of those of the plan, with the same weights."""
    plan = plan_inference(graph, images.shape, dataclasses.replace(target, threads=threads))
    assert not any(step.attributes["algorithm"] == DIRECT for step in plan.forward if step.kind == "int8_conv")
    plan = plan if algorithm is None else with_algorithm(plan, algorithm)
    (head,) = native.Executor(plan, weights=pack_weights(graph, target, native.Weights()))(images)
    return head


def bytes_of(head: np.ndarray, graph: Graph) -> np.ndarray:
    scale = graph.scales[graph.nodes[-1].inputs[0]]
    return np.rint(head / scale.step + scale.zero)


def same_bytes(graph: Graph, images: np.ndarray, threads: int = 1, target: Target = OLDER) -> None:
    """NumPy's, but for roundings of what lies half-way between two."""
    found = bytes_of(run(graph, images, threads, target=target), graph)
    for image, bytes_ in zip(images, found):
        values = run_whole(dataclasses.replace(graph, nodes=graph.nodes[:-1]), image, target)
        off = np.abs(bytes_ - values[graph.nodes[-1].inputs[0]])
        assert off.max() <= 1 and np.sum(off > 0) <= 1 + 0.002 * off.size


@each_target
@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
@pytest.mark.parametrize("name", CASES)
def test_shapes(name: str, size: tuple[int, int], target: Target) -> None:
    case = CASES[name]
    graph, images = layer(**case), random_images((2, case["source"], *size))
    same_bytes(graph, images, target=target)
    once = run(graph, images, target=target)
    for threads in (2, 3):
        np.testing.assert_array_equal(run(graph, images, threads, target=target), once)


@each_target
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("act", [*(f"nn.{name}()" for name in PLAIN_ACTIVATIONS), "nn.LeakyReLU(0.1)", "nn.ELU(0.7)"])
def test_activations(act: str, residual: bool, target: Target) -> None:
    graph = layer(16, act, residual, out=21)
    same_bytes(graph, random_images((1, 16, 9, 14)), 2, target)


@each_target
def test_residuals_of_another_scale(target: Target) -> None:
    graph = layer(16, residual=True, out=24)
    scales = {**graph.scales, graph.nodes[0].output: Scale(0.017, 20)}
    same_bytes(dataclasses.replace(graph, scales=scales), random_images((1, 16, 9, 14)), target=target)


@each_target
@pytest.mark.parametrize("out", [8, 21, 255])
@pytest.mark.parametrize("act", ["nn.Identity()", "nn.SiLU()"])
@pytest.mark.parametrize("residual", [False, True])
def test_floats(out: int, act: str, residual: bool, target: Target) -> None:
    maker = Maker(channels=16)
    made = maker.conv(INPUT, out=out)
    made = maker.conv(made, *([made] if residual else []), out=out, act=act)
    graph, images = all_int8(maker.graph(made)), random_images((2, 16, 13, 11))
    for image, head in zip(images, run(graph, images, 2, target=target)):
        # A byte that one of the two rounds to the other side moves sums by a step times a weight.
        expected = run_whole(graph, image, target)[made]
        off = np.abs(head - expected) / np.abs(expected).max()
        assert off.max() < 0.02 and np.median(off) < 1e-4


@pytest.mark.parametrize("name", CASES)
def test_as_onednn_computes_it(name: str) -> None:
    """The same weights, which are within oneDNN's bounds too: nearly all bytes are equal, the others next to it."""
    case = CASES[name]
    graph, images = layer(**case), random_images((1, case["source"], 24, 20))
    tensors = {key: array * 0 + 1.0 if key.endswith("weight") else array for key, array in graph.tensors.items()}
    graph = dataclasses.replace(graph, tensors=tensors)  # of ones: 32 steps each
    ours, theirs = (bytes_of(run(graph, images, algorithm=how), graph) for how in (None, DIRECT))
    off = np.abs(ours - theirs)
    assert off.max() <= 1 and np.mean(off > 0) <= 0.002


@pytest.mark.parametrize("size", [(4, 4), (5, 9), (1, 3), (40, 36), (20, 20), (21, 67)], ids=str)
@pytest.mark.parametrize("channels", [(2, 1), (2, 3), (8, 4)])
def test_winograd_is_equal_to_the_bit(channels: tuple[int, int], size: tuple[int, int]) -> None:
    source, out = (HERE.block * number for number in channels)
    rng = np.random.default_rng(0)
    for act in ("nn.SiLU()", "nn.Identity()"):
        graph, images = layer(source, act, residual=channels == (8, 4), out=out), random_images((2, source, *size))
        assert int8_algorithm(graph.nodes[0], (source, out), OLDER) == WINOGRAD
        weights = pack_weights(graph, OLDER, native.Weights())
        for name, weight in graph.tensors.items():
            if weight.ndim == 4:  # within the bounds of both
                weights.set(name, rng.integers(-32, 33, weight.shape).astype(np.float32))
        heads = []
        for threads, algorithm in itertools.product((1, 2, 3), (FOURS, WINOGRAD)):
            plan = plan_inference(graph, images.shape, dataclasses.replace(OLDER, threads=threads))
            heads += native.Executor(with_algorithm(plan, algorithm), weights=weights)(images)
        assert len(np.unique(heads[0])) > 10
        for head in heads[1:]:
            np.testing.assert_array_equal(head, heads[0])


def test_the_largest_sums_are_exact() -> None:
    """Whole weights at the bound, all bytes at 255."""
    maker = Maker(channels=16)
    made = maker.conv(INPUT, out=32, k=1, act="nn.Identity()")
    tensors = {"w0.weight": np.ones((32, 16, 1, 1), np.float32), "w0.bias": np.zeros(32, np.float32)}
    tensors["w0.weight"][16:] = -1
    graph = all_int8(dataclasses.replace(maker.graph(made), tensors=tensors))
    found = run(graph, np.full((1, 16, 8, 8), 255, np.uint8))[0]
    np.testing.assert_allclose(found, np.where(np.arange(32) < 16, 16.0, -16.0)[:, None, None] + 0 * found, rtol=1e-5)


def test_four_weights_of_a_sum_stay_within_their_bound() -> None:
    rng = np.random.default_rng(0)
    for shape in ((16, 16, 3, 3), (9, 3, 6, 6), (4, 13, 1, 1), (2, 1, 1, 1)):
        weight = rng.standard_t(3, shape).astype(np.float32)
        whole, steps = quantised_in_fours(weight)
        assert np.abs(whole * steps[:, None, None, None] - weight).max() <= 0.501 * steps.max()
        runs = np.moveaxis(whole, 1, 3).reshape(shape[0], shape[2], -1)
        for channel in runs.reshape(-1, runs.shape[-1]):
            for first in range(0, len(channel), 8):
                eight = np.zeros(8)
                eight[: len(channel) - first] = channel[first : first + 8]
                for four in (eight[[0, 1, 4, 5]], eight[[2, 3, 6, 7]]):
                    assert four[four > 0].sum() <= MOST_OF_FOUR and -four[four < 0].sum() <= MOST_OF_FOUR
        assert np.abs(whole).reshape(shape[0], -1).max(1).min() >= 20  # not coarser than need be
        assert np.abs(whole).max() <= 127
    whole, _ = quantised_in_fours(np.array([1.0, -1.0], np.float32).reshape(2, 1, 1, 1))
    np.testing.assert_array_equal(whole.ravel(), [127, -127])
    whole, steps = quantised_in_fours(np.zeros((2, 3, 1, 1), np.float32))
    assert not whole.any() and (steps == 1).all()


def test_sums_by_winograd_stay_within_their_bits() -> None:
    rng = np.random.default_rng(0)
    for shape, coarser in (((8, 64, 3, 3), False), ((8, 1024, 3, 3), True)):
        weight = rng.uniform(-1, 1, shape).astype(np.float32)
        whole, steps = quantised_for_winograd(weight)
        assert 255 * np.abs(whole).reshape(8, -1).sum(1).max() < MOST_SUM
        assert np.abs(whole * steps[:, None, None, None] - weight).max() <= 0.501 * steps.max()
        assert (np.abs(whole).max() < 127) == coarser and np.abs(whole).max() > 20


@pytest.mark.parametrize(
    ("source", "k", "size", "said"), [(8, 1, 33, "four products"), (1024, 3, 127, "26 bits")], ids=("fours", "winograd")
)
def test_weights_beyond_the_bound_are_refused(source: int, k: int, size: int, said: str) -> None:
    graph = layer(source, out=16, k=k)
    plan = plan_inference(graph, (1, source, 4, 4), OLDER)
    weights = pack_weights(graph, OLDER, native.Weights())
    weights.set("w0.weight", np.full((16, source, k, k), size, np.float32))
    with pytest.raises(ValueError, match=said):
        native.Executor(plan, weights=weights)


@pytest.mark.parametrize("algorithm", [FOURS, WINOGRAD])
@pytest.mark.parametrize(
    "instead",
    [
        {"groups": 2},
        {"transposed": True},
        {"dilation": (2, 2), "padding": (2, 2)},
        {"algorithm": "f2"},
        {"kernel": (5, 5), "padding": (5, 5), "stride": (2, 2)},
    ],
    ids=str,
)
def test_what_the_verifier_refuses(instead: dict, algorithm: str) -> None:
    refused(layer(2 * HERE.block, out=16), {"algorithm": algorithm, **instead})


def test_winograd_takes_whole_blocks() -> None:
    refused(layer(HERE.block, out=16), {"algorithm": WINOGRAD})
    refused(layer(2 * HERE.block, out=HERE.block + 1), {"algorithm": WINOGRAD})
    refused(layer(2 * HERE.block, out=16, k=1), {"algorithm": WINOGRAD})
    refused(layer(HERE.block, out=16, k=17), {"algorithm": FOURS})


def refused(graph: Graph, instead: dict) -> None:
    plan = plan_inference(graph, (1, graph.channels[INPUT], 20, 20), OLDER)
    number = [step.kind for step in plan.forward].index("int8_conv")
    step = plan.forward[number]
    changed = dataclasses.replace(step, attributes={**step.attributes, **instead})
    steps = (*plan.forward[:number], changed, *plan.forward[number + 1 :])
    said = r"^w0: (is no convolution for|has an algorithm that|takes whole blocks of bytes|its output has another)"
    with pytest.raises(ValueError, match=said):
        native.Executor(dataclasses.replace(plan, forward=steps), weights=pack_weights(graph, OLDER, native.Weights()))


def test_where_they_are_chosen() -> None:
    def chosen(target: Target = OLDER, source: int = 2 * HERE.block, out: int = 32, **others) -> str:
        node = next(node for node in layer(source, out=out, **others).nodes if isinstance(node, Conv))
        return int8_algorithm(node, (source, out), target)

    assert chosen() == WINOGRAD
    assert {chosen(k=1), chosen(stride=(2, 2)), chosen(source=HERE.block), chosen(out=31)} == {FOURS}
    assert chosen(dataclasses.replace(OLDER, weight_limit=127)) == DIRECT  # VNNI
    assert chosen(dataclasses.replace(OLDER, instructions="sse41")) == DIRECT
    assert chosen(dataclasses.replace(OLDER, device="cuda", instructions="CUDA", weight_limit=0)) == DIRECT
    assert {chosen(dilation=(2, 2), padding=(2, 2)), chosen(groups=16)} == {DIRECT}
