"""Attention on a CUDA device, and its gradient, against NumPy in double precision and the CPU's executor."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from tests.device import cuda_host
from tests.program.cuda.programs import target
from yolo import native
from yolo.program.plan import Plan
from yolo.program.plan_builder import BufferView, PlanBuilder
from yolo.program.target import Target

READ = ("query", "key", "value", "gradient")
WRITTEN = ("query_gradient", "key_gradient", "value_gradient")
TOLERANCES = {"fp32": 1e-5, "fp16": 2e-3, "bf16": 1.6e-2}
"""Relative to the largest number of a result."""


@dataclasses.dataclass(frozen=True)
class Case:
    """Maps of so many images, heads, channels of a head, and pixels."""

    images: int
    heads: int
    width: int
    size: tuple[int, int]

    @property
    def channels(self) -> int:
        return self.heads * self.width


CASES = {
    "one token": Case(2, 2, 8, (1, 1)),
    "one channel": Case(1, 3, 1, (3, 5)),
    "three channels": Case(2, 3, 3, (3, 4)),
    "a whole tile": Case(1, 1, 64, (8, 8)),
    "one token more": Case(1, 2, 16, (5, 13)),
    "wide heads": Case(1, 2, 72, (3, 5)),
    "odd wide heads": Case(1, 3, 67, (2, 9)),
    "several tiles": Case(1, 1, 32, (10, 15)),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


LANES = 16
"""Channels of a map are filled up to so many: whole blocks of every device."""


def plan(case: Case, device: Target, divisor: float, twice: bool) -> Plan:
    """Images hold the four maps that are read; heads are those, and all of the buffer of the four that are written.

    ``twice``: then the gradients are the query, key and value of the same steps, so that there are numbers below zero.
    """
    batch = 1 if device.device == "cpu" else case.images
    builder = PlanBuilder(device, batch)
    images = loaded(builder, case, divisor)
    maps = {role: part(images, case, number) for number, role in enumerate(READ)}
    written = attend(builder, case, maps, divisor)
    if twice:
        gradients = (part(written, case, number) for number in (1, 2, 3))
        maps = dict(zip(READ, (*gradients, maps["gradient"])))
        written = attend(builder, case, maps, divisor)
    heads = [*maps.values(), written]
    for number, view in enumerate(heads):
        builder.forward("store_head", "heads", {"source": view}, number=number)
    shapes = [(case.images, view.channels, *case.size) for view in heads]
    return builder.build((case.images, images.channels, *case.size), shapes, per_image=device.device == "cpu")


def loaded(builder: PlanBuilder, case: Case, divisor: float) -> BufferView:
    images = builder.buffer(4 * -(-case.channels // LANES) * LANES, case.size)
    builder.forward("load_images", "images", {"target": images}, divisor=divisor)
    return images


def part(buffer: BufferView, case: Case, number: int) -> BufferView:
    return buffer.part(number * buffer.channels // 4, case.channels)


def attend(builder: PlanBuilder, case: Case, maps: dict[str, BufferView], divisor: float) -> BufferView:
    """All that attention writes, in a buffer where something else lay before."""
    buffer = loaded(builder, case, divisor)
    target, *gradients = (part(buffer, case, number) for number in range(4))
    read = {role: maps[role] for role in READ[:3]}
    builder.forward("attention", "attention", {**read, "target": target}, heads=case.heads)
    views = {**maps, **dict(zip(WRITTEN, gradients))}
    builder.forward("attention_backward", "attention", views, heads=case.heads)
    return buffer


def run(case: Case, executor: Callable, seed: int = 0) -> tuple[list[np.ndarray], ...]:
    """What was read, what was written and the lanes behind that, four maps each, of random images.

    Three of four bytes are zeros: of numbers that are all far above zero the gradients would be small differences.
    """
    lanes = -(-case.channels // LANES) * LANES
    shape = (case.images, 4 * lanes, *case.size)
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, shape, dtype=np.uint8) * (rng.random(shape) < 0.25)
    *read, written = executor(images)
    parts = np.split(written, 4, axis=1)
    return read, [one[:, : case.channels] for one in parts], [one[:, case.channels :] for one in parts]


def reference(case: Case, maps: list[np.ndarray]) -> list[np.ndarray]:
    """The target and the three gradients, float64 [images, channels, h, w]."""
    q, k, v, slope = (np.float64(one).reshape(case.images, case.heads, case.width, -1) for one in maps)
    logits = np.einsum("nhci,nhcj->nhij", q, k) / np.sqrt(case.width)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    target = np.einsum("nhij,nhcj->nhci", weights, v)
    slopes = np.einsum("nhci,nhcj->nhij", slope, v)
    slopes = weights * (slopes - (weights * slopes).sum(-1, keepdims=True)) / np.sqrt(case.width)
    to_query, to_key = np.einsum("nhij,nhcj->nhci", slopes, k), np.einsum("nhij,nhci->nhcj", slopes, q)
    to_value = np.einsum("nhij,nhci->nhcj", weights, slope)
    return [one.reshape(maps[0].shape) for one in (target, to_query, to_key, to_value)]


def assert_close(heads: list[np.ndarray], expected: list[np.ndarray], tolerance: float) -> None:
    for name, ours, wanted in zip(("target", *WRITTEN), heads, expected):
        scale = np.abs(wanted).max()
        assert np.abs(ours - wanted).max() <= tolerance * max(scale, 1e-3), name


@each_case
@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_against_numpy(case: Case, precision: str, twice: bool) -> None:
    executor = cuda_host().HostExecutor(plan(case, target(precision), 64.0, twice))
    read, written, behind = run(case, executor)
    assert_close(written, reference(case, read), TOLERANCES[precision])
    pad = target().whole(case.channels) - case.channels
    assert not any(lanes[:, :pad].any() for lanes in behind)


@each_case
def test_equals_the_cpu(case: Case) -> None:
    _, ours, _ = run(case, cuda_host().HostExecutor(plan(case, target(), 64.0, True)))
    _, theirs, _ = run(case, native.Executor(plan(case, Target.of(threads=1), 64.0, True), weights=native.Weights()))
    assert_close(ours, theirs, TOLERANCES["fp32"])


def test_logits_far_apart() -> None:
    """Of thousands: exp() of none of them is infinite, and the weights of most pixels are zero."""
    case = Case(1, 1, 40, (9, 9))
    read, written, _ = run(case, cuda_host().HostExecutor(plan(case, target(), 4.0, False)))
    assert np.isfinite(written).all()
    assert_close(written, reference(case, read), 1e-4)
