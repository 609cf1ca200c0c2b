"""Convolutions by kernels of our own: against sums in double precision, and against direct ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.program.conv_layer import ACTIVATIONS, BLOCK, Layer, assert_near
from yolo import native
from yolo.program.plan import Plan

POINTS = {("winograd", 1): 36, ("winograd", 2): 81, ("winograd_2x2", 2): 25, ("matmul", 1): 1}
"""Products of a tile for a pair of channels, by algorithm and stride."""
FORMS = list(POINTS)
ERROR = 2e-5
"""Of the largest output, against double precision; a direct convolution is allowed a fifth."""
CASES = (
    *((4, 4, 1, 1), (5, 5, 2, 1), (7, 7, 1, 3), (15, 15, 4, 4), (16, 16, 3, 2), (21, 21, 2, 5), (80, 80, 1, 2)),
    *((20, 20, 8, 16), (1, 9, 2, 2), (30, 3, 2, 3), (13, 37, 3, 3), (17, 18, 16, 2), (47, 46, 17, 2)),
)
"""Height, width, source and target channels in blocks of 16."""
THREES = (
    *({"kernel": (1, 1), "padding": (0, 0)}, {"kernel": (5, 5), "padding": (2, 2)}),
    *({"dilation": (2, 2), "padding": (2, 2)}, {"groups": 2}),
)
"""What a 3x3 convolution is made to be, of as many outputs."""
ONES = ({"kernel": (3, 3), "padding": (1, 1)}, {"dilation": (2, 2)}, {"groups": 2}, {"transposed": True})
OTHERS = [(form, other) for form in FORMS for other in (ONES if form[0] == "matmul" else THREES)]

Form = tuple[str, int]
each_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form[0]}-{form[1]}")


def layer_of(form: Form, *args, **kwargs) -> Layer:
    algorithm, stride = form
    return Layer(*args, **kwargs, kernel=1 if algorithm == "matmul" else 3, stride=stride, algorithm=algorithm)


def limit_of(form: Form) -> float:
    return ERROR / 5 if form[0] == "matmul" else ERROR


@each_form
@pytest.mark.parametrize("case", CASES, ids=lambda case: "x".join(map(str, case)))
def test_shapes(case: tuple[int, int, int, int], form: Form) -> None:
    height, width, source, target = case
    layer = layer_of(form, height, width, 16 * source, 16 * target)
    expected, found = layer.in_double(), layer.run()
    assert_near(found, expected, limit_of(form))
    assert_near(layer.run("direct"), expected, ERROR / 5)
    for threads in (1, 2, 3):  # each sum is one thread's, in one order
        np.testing.assert_array_equal(layer.run(threads=threads), found)


@each_form
@pytest.mark.parametrize("blocks", [(1, 1), (3, 1), (2, 3), (5, 4)])
def test_any_number_of_blocks(blocks: tuple[int, int], form: Form) -> None:
    layer = layer_of(form, 6, 9, BLOCK * blocks[0], BLOCK * blocks[1])
    assert_near(layer.run(threads=2), layer.in_double(), limit_of(form))


@each_form
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation: str, bias: bool, residual: bool, form: Form) -> None:
    layer = layer_of(form, 9, 14, 32, 32, activation, bias, residual)
    for threads in (1, 3):
        assert_near(layer.run(threads=threads), layer.in_double(), limit_of(form))


@each_form
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("side", [8, 40])
def test_batches(side: int, per_image: bool, form: Form) -> None:
    layer = layer_of(form, side, side, 16, 32, images=3)
    found = layer.run(threads=2, per_image=per_image)
    assert_near(found, layer.in_double(), limit_of(form))
    for number in range(3):
        alone = dataclasses.replace(layer, images=1)
        alone.pixels = layer.pixels[number : number + 1]
        np.testing.assert_array_equal(alone.run()[0], found[number])


@each_form
def test_part_of_a_map(form: Form) -> None:
    """The channels of a joined map are read and written where they are, and nothing beside them."""
    layer = layer_of(form, 10, 11, 32, 32)
    plan = layer.plan(threads=2)
    load, conv, store = plan.forward
    (source,), (target,) = load.views["target"], conv.views["target"]
    half = dataclasses.replace(target, channels=16, first=16)
    steps = (
        load,
        layer.thinned(source, target),
        dataclasses.replace(conv, views={**conv.views, "target": (half,)}),
        store,
    )
    weights = layer.constants()
    weights.set("w.weight", layer.weight[:16])
    weights.set("w.bias", layer.shift[:16])
    (head,) = native.Executor(dataclasses.replace(plan, forward=steps), weights=weights)(layer.pixels)
    assert_near(head[:, 16:], layer.in_double()[:, :16], limit_of(form))
    s = layer.stride
    np.testing.assert_array_equal(head[:, :16], layer.pixels[:, :16, ::s, ::s] / np.float32(64))


@each_form
def test_weights_are_transformed_once_and_replaced(form: Form) -> None:
    layer = layer_of(form, 16, 16, 32, 32)
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


@each_form
def test_memory_is_counted(form: Form) -> None:
    """Maps, scratch, the points of each pair of channels, which all programs share, and the bias."""
    layer = layer_of(form, 12, 12, 48, 32)
    weights, plan = layer.constants(), layer.plan(threads=2)
    transformed = POINTS[form] * 48 * 32 * 4
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


NO_CONVOLUTION = "layer: is no convolution for its algorithm"


@pytest.mark.parametrize(("form", "other"), [*OTHERS, (("winograd", 1), {"transposed": True})], ids=str)
def test_other_convolutions_are_refused(form: Form, other: dict) -> None:
    layer = layer_of(form, 8, 8, 32, 32)
    with pytest.raises(ValueError, match=NO_CONVOLUTION):
        native.Executor(layer.plan(**other), weights=layer.constants())


@pytest.mark.parametrize("form", [("winograd", 3), ("winograd_2x2", 1), ("matmul", 2)], ids=str)
def test_other_strides_are_refused(form: Form) -> None:
    layer = layer_of(form, 8, 8, 32, 32)
    layer.run("direct")
    with pytest.raises(ValueError, match=NO_CONVOLUTION):
        native.Executor(layer.plan(), weights=layer.constants())


@each_form
def test_other_maps_and_algorithms_are_refused(form: Form) -> None:
    layer = layer_of(form, 8, 8, 32, 32)
    for role in ("source", "target"):
        with pytest.raises(ValueError, match="layer: takes whole blocks of floats"):
            native.Executor(narrow(layer.plan(), role, channels=31), weights=layer.constants())
    plain = narrow(layer.plan(), "source", layout="nchw")
    with pytest.raises(ValueError, match="layer: takes maps whose channels lie in blocks"):
        native.Executor(plain, weights=layer.constants())
    with pytest.raises(ValueError, match="layer: has an algorithm that is not known"):
        native.Executor(layer.plan("fast"), weights=layer.constants())
    with pytest.raises(ValueError, match="layer: its weights are not there or have another shape"):
        native.Executor(layer.plan(), weights=layer_of(form, 8, 8, 16, 32).constants())


def test_another_machines_plan_is_refused() -> None:
    layer = Layer(8, 8, 32, 32)
    plan = layer.plan()
    other = dataclasses.replace(plan.target, block=24 - BLOCK)
    with pytest.raises(ValueError, match=f"the plan is for blocks of {other.block} channels"):
        native.Executor(dataclasses.replace(plan, target=other), weights=layer.constants())
