"""What an executor refuses of inference's plans, and the limits that it keeps: see test_plan_checks.py for the rest."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from yolo import native
from yolo.program.detection import NmsSettings
from yolo.program.plan import Attribute, Plan, Step, TensorView
from yolo.program.target import Target

TARGET = Target.of(threads=1)
BLOCK = TARGET.block
MAP = 16 * 16 * 4
"""Bytes of a map of 4 x 4 pixels and 16 channels."""
IMAGE = TensorView(3 * MAP, 3, 4, 4, 4, "nchw", 0, 3)


def view(offset: int, channels: int, height: int = 4, width: int = 4, layout: str = "blocked") -> TensorView:
    padded = TARGET.whole(channels) if layout == "blocked" else channels
    return TensorView(offset, channels, height, width, 1 if layout == "nhwc" else 4, layout, 0, padded)


ONE, TWO, THREE = (view(number * MAP, 16) for number in range(3))


def step(kind: str, attributes: dict[str, Attribute], **views: TensorView) -> Step:
    return Step(kind, "step", {role: (value,) for role, value in views.items()}, attributes)


def load(target: TensorView = IMAGE) -> Step:
    return Step("load_images", "input", {"target": (target,)}, {"divisor": 255.0})


def store(source: TensorView) -> Step:
    return Step("store_head", "output", {"source": (source,)}, {"number": 0})


def conv(source: TensorView = IMAGE, target: TensorView = ONE, **instead: Any) -> Step:
    pairs = {"kernel": (1, 1), "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
    named = {**pairs, "groups": 1, "transposed": False, "weights": "w", "bias": False, "activation": "Identity"}
    named |= {"algorithm": "direct"} if instead.get("kind", "conv") == "conv" else {}
    views = {"residual": instead.pop("residual")} if "residual" in instead else {}
    kind = instead.pop("kind", "conv")
    return step(kind, {**named, "value": 0.0, **instead}, source=source, target=target, **views)


def plan(*steps: Step, head: TensorView = ONE, image: TensorView = IMAGE, arena: int = 4 * MAP, **fields: Any) -> Plan:
    """Of one image: it is loaded, the steps run, and ``head`` leaves."""
    images, heads = ((1, found.channels, found.height, found.width) for found in (image, head))
    return Plan(TARGET, images, (heads,), arena, (load(image), *steps, store(head)), per_image=True, **fields)


def weights_of(shape: tuple[int, ...], values: float = 1.0) -> native.Weights:
    weights = native.Weights()
    weights.set("w.weight", np.full(shape, values, np.float32))
    return weights


def executor(made: Plan, weights: native.Weights | None = None, **limits: float) -> native.Executor:
    named = {"memory": 2**40, "work": 1e12} | limits
    return native.Executor(made, weights=weights or weights_of((16, 3, 1, 1)), limits=native.Limits(**named))


def test_the_plan_itself_is_one() -> None:
    (head,) = executor(plan(conv()))(np.full((1, 3, 4, 4), 255, np.uint8))
    np.testing.assert_array_equal(head, np.full((1, 16, 4, 4), 3, np.float32))


WHERE = (
    "(a map lies outside the program's memory|a map has impossible sides|a map has more than 2 GiB|takes channels that)"
)
OUTSIDE = {
    "behind": view(4 * MAP - 64, 16),
    "before": view(-512, 16),
    "far": view(2**62, 16),
    "not on a number": view(2, 16),
    "no channels": dataclasses.replace(ONE, channels=0),
    "negative side": view(0, 16, -4, -4),
    "huge side": view(0, 16, 2**40),
    "product overflows": view(0, 2**22, 2**22, 2**22),
    "part of a block": view(4 * MAP - 4 * 16 * BLOCK + 4, 1),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_view_outside_the_memory(name: str) -> None:
    outside = OUTSIDE[name]
    last = dataclasses.replace(outside, layout="nhwc", element=1, buffer_channels=outside.channels)
    bytes_ = view(0, 16, layout="nhwc")
    moved = {"index": (0, 0, 0) * 16, "stride": 1}
    window = {"method": "upsample", "kernel": 1, "stride": 1, "padding": 0}
    pointwise, scale = {"activation": "ReLU", "value": 0.0}, {"scale_step": 1.0, "scale_zero": 0}
    steps = [
        step("norm_act_add", pointwise, source=outside, targets=ONE),
        step("norm_act_add", pointwise, source=ONE, targets=TWO, residual=outside),
        step("norm_act_add", pointwise | {"constants": "w"}, source=ONE, targets=outside),
        *(
            step("resample", window | {"method": method}, source=outside, target=ONE)
            for method in ("upsample", "bilinear")
        ),
        *(
            step("resample", window | {"method": f"{kind}_pool"}, source=ONE, target=outside)
            for kind in ("max", "average")
        ),
        step("gather", moved, fine=outside, coarse=ONE),
        step("gather", moved, fine=ONE, coarse=outside),
        step("scatter", moved | {"clear": True}, fine=outside, coarse=ONE),
        step("attention", {"heads": 1}, query=ONE, key=outside, value=ONE, target=TWO),
        step("quantise", scale, source=outside, target=bytes_),
        step("dequantise", scale, source=bytes_, target=outside),
        conv(target=outside),
        conv(source=outside),
        conv(residual=outside),
    ]
    if name not in ("part of a block", "not on a number"):  # to bytes these are no fault
        copy = {"source_first": 0, "target_first": 0, "count": 1}
        steps += [step("copy_bytes", copy, source=last, target=bytes_)]
        steps += [step("resample", window, source=bytes_, target=last)]
    for wrong in steps:
        with pytest.raises(ValueError, match=rf"^step: {WHERE}"):
            executor(plan(wrong))
    with pytest.raises(ValueError, match=rf"^output: {WHERE}"):
        executor(dataclasses.replace(plan(conv()), forward=(load(), conv(), store(outside))))
    with pytest.raises(ValueError, match=rf"^input: {WHERE}"):
        executor(dataclasses.replace(plan(conv()), forward=(load(outside), conv(), store(ONE))))


@pytest.mark.parametrize(
    "instead",
    [
        {"kernel": (1,)},
        {"kernel": (0, 1)},
        {"stride": (-1, 1)},
        {"dilation": (2**40, 1)},
        {"padding": (1, 0)},
        {"groups": 0},
        {"groups": 3},
        {"transposed": True, "stride": (2, 2)},
        {"residual": view(MAP, 16, 2)},
        {"residual": ONE},
        {"residual": view(2**50, 16)},
        {"kind": "int8_conv", "source_step": 1.0, "source_zero": 0},
        {"activation": "nothing"},
        {"weights": "others"},
    ],
)
def test_no_convolution_that_does_not_fit(instead: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        executor(plan(conv(**instead)))


def test_weights_of_another_shape() -> None:
    with pytest.raises(ValueError, match="step: its weights are not there or have another shape"):
        executor(plan(conv()), weights_of((16, 3, 3, 3)))
    with pytest.raises(ValueError, match="step: its weights are not there or have another shape"):
        native.Executor(plan(conv()))


def test_numbers_that_loops_would_follow_out_of_their_maps() -> None:
    small, large = view(0, 16, 2, 2), TWO
    window = {"method": "upsample", "kernel": 3, "stride": 3, "padding": 0}
    moved = {"index": (0, 0, 0) * 16, "stride": 1}
    for wrong in (
        step("attention", {"heads": 0}, query=ONE, key=ONE, value=ONE, target=TWO),
        step("resample", window, source=small, target=large),
        step("resample", window | {"method": "bilinear", "stride": 1}, source=small, target=large),
        step("resample", {"method": "max_pool", "kernel": 2, "stride": 2, "padding": 2}, source=large, target=small),
        step("gather", moved | {"index": (16, 0, 0) * 16}, fine=small, coarse=large),
        step("gather", moved | {"index": (0, 2**40, 0) * 16}, fine=small, coarse=large),
        step("gather", moved | {"index": (0, 0, 0) * 15}, fine=small, coarse=large),
        step("scatter", moved | {"clear": False, "stride": 0}, fine=large, coarse=small),
    ):
        with pytest.raises(ValueError, match=r"^step: "):
            executor(plan(wrong))


def test_memory_and_work_have_limits() -> None:
    with pytest.raises(ValueError, match="GB of memory"):
        executor(plan(conv(), arena=2**60), memory=2**40)
    with pytest.raises(ValueError, match="GB of memory"):
        executor(plan(conv(), arena=-1))
    attention = step("attention", {"heads": 1}, query=ONE, key=ONE, value=ONE, target=TWO)
    made = plan(conv(), attention, head=TWO)
    executor(made)
    with pytest.raises(ValueError, match="step: needs more memory than there is"):
        executor(made, memory=5000)
    with pytest.raises(ValueError, match="more work"):
        executor(made, work=100)


def test_the_room_for_packed_weights_is_counted() -> None:
    """Groups of few channels take whole blocks each."""
    groups = 512
    image = view(0, 2 * groups, 1, 1)
    head = dataclasses.replace(image, offset=8 * groups)
    made = plan(conv(image, head, groups=groups), image=image, head=head, arena=16 * groups)
    with pytest.raises(ValueError, match="needs more memory than there is"):
        executor(made, weights_of((groups, 2, 2, 1, 1)), memory=16 * groups + 4 * groups * 4)


def test_a_plan_without_an_end() -> None:
    made = plan(conv())
    with pytest.raises(ValueError, match="the plan has no input"):
        executor(dataclasses.replace(made, forward=made.forward[1:]))
    with pytest.raises(ValueError, match="the plan has no output"):
        executor(dataclasses.replace(made, forward=made.forward[:-1]))
    with pytest.raises(ValueError, match="no output, or two"):
        executor(dataclasses.replace(made, forward=(*made.forward, made.forward[-1])))
    with pytest.raises(ValueError, match="images, heads, threads or numbers"):
        executor(dataclasses.replace(made, heads=()))


def test_a_plan_of_another_machine() -> None:
    other = dataclasses.replace(TARGET, block=24 - BLOCK)
    with pytest.raises(ValueError, match=r"this processor has|impossible sides|takes channels that are not there"):
        executor(dataclasses.replace(plan(conv()), target=other))


def test_what_is_behind_the_last_channel_is_not_copied() -> None:
    """Kernels read whole blocks: behind the last channel there are zeros, whatever the source has there."""
    size = 4 * 4 * BLOCK * 4
    whole, part, head = (view(number * size, channels) for number, channels in enumerate((BLOCK, 4, BLOCK)))
    image = dataclasses.replace(IMAGE, offset=3 * size, channels=1, buffer_channels=1)
    index = tuple(number for channel in range(4) for number in (channel, 0, 0))
    copy = step("gather", {"index": index, "stride": 1}, fine=whole, coarse=part)
    weights = weights_of((BLOCK, 1, 1, 1))
    weights.set("all.weight", np.ones((1, 4, 1, 1), np.float32))
    seen = dataclasses.replace(part, channels=BLOCK)
    again = step("norm_act_add", {"activation": "Identity", "value": 0.0}, source=seen, targets=head)
    made = plan(conv(image, whole), copy, again, head=head, image=image, arena=3 * size + 64)
    (found,) = executor(made, weights)(np.full((1, 1, 4, 4), 255, np.uint8))
    assert (found[:, :4] == 1).all() and not found[:, 4:].any()


def test_a_plan_survives_its_file() -> None:
    made = plan(conv())
    assert Plan.from_json(made.to_json()) == made
    assert re.match(r"== plan: 3 \+ 0 steps, .* MB, cpu, layout nChw", "\n".join(made.lines()))
    for broken in ("[]", "{", made.to_json().replace("offset", "begin"), '{"target": 1}'):
        with pytest.raises(ValueError):
            Plan.from_json(broken)


def test_a_head_that_fits_nothing() -> None:
    settings = NmsSettings().native(2)
    level = native.Level(4, 4, 8.0, [1.0, 2.0])
    huge = native.Level(2**20, 2**20, 8.0, [1.0, 2.0])
    for levels, classes, batch in (([], 2, 1), ([level], 0, 1), ([level], 2, 0), ([huge], 2, 1)):
        with pytest.raises(ValueError):
            native.DetectionHead(levels, classes, batch, settings)
    with pytest.raises(ValueError, match="wanted"):
        native.DetectionHead([level], 3, 1, NmsSettings(classes=(1,)).native(2))
