"""Convolutions that train in bfloat16 by AMX, against oneDNN's: their sums differ by the order alone."""

from __future__ import annotations

import numpy as np
import pytest

from tests.program.networks import network_with, random_images
from tests.program.test_amx import needs_amx
from tests.program.training_reference import Step, Subject, head_slopes, off

LAYERS = {
    "3x3": (48, [40, 3, 1]),
    "3x3 of stride 2": (48, [40, 3, 2]),
    "3x3 of one block": (16, [16, 3, 1]),
    "1x1": (32, [24, 1, 1]),
    "1x1 of stride 2": (24, [32, 1, 2]),
    "5x5": (16, [33, 5, 1]),
    "6x6 of stride 2": (20, [16, 6, 2, 2]),
    "1x5": (16, [16, [1, 5], 1, None, 1]),
    "5x1": (32, [16, [5, 1], 1, None, 1]),
    "of many channels": (160, [176, 3, 1]),
}
"""Channels of the source, and the layer."""
SHAPES = ((3, 3, 24, 40), (2, 3, 72, 56), (5, 3, 16, 16))
LARGE = (1, 3, 320, 288)
"""In strips of rows."""
NEAR = 2.0**-8
"""Of a part's norm: sums half-way between two bfloat16 are rounded to another side, which is 2^-8 of a number."""


PASSES = {"conv", "conv_data", "conv_weights"}


def step_of(subject: Subject, shape: tuple[int, ...], **how) -> tuple[Step, set[str]]:
    """A step, and which passes of convolutions AMX computes."""
    passes = subject.passes(shape, precision="bf16", **how)
    step = subject.compiled(passes, random_images(shape), head_slopes(passes))
    return step, {info.kind for info in passes.executor.steps if info.implementation == "amx:bf16"}


def assert_near(found: Step, expected: Step) -> None:
    for head, right in zip(found.heads, expected.heads):
        assert off(head, right) <= NEAR
    for name, right in expected.gradients.items():
        assert off(found.gradients[name], right) <= NEAR, name
    for name, right in expected.statistics.items():
        assert off(found.statistics[name], right) <= NEAR, name


@needs_amx
@pytest.mark.parametrize("name", LAYERS)
def test_as_onednn_computes_it(name: str) -> None:
    source, layer = LAYERS[name]
    rows = [[-1, 1, "Conv", [source, 3, 2]], [-1, 1, "Conv", layer], [-1, 1, "Conv", [24, 1, 1]]]
    subject = Subject(network_with(rows, "amx"))
    for shape in SHAPES:
        expected, theirs = step_of(subject, shape, exact=True)
        assert not theirs
        for threads in (1, 2, 3):
            found, ours = step_of(subject, shape, threads=threads)
            assert ours == PASSES
            assert_near(found, expected)


@needs_amx
@pytest.mark.parametrize("channels", [(16, 16), (160, 144)])
def test_maps_in_strips(channels: tuple[int, int]) -> None:
    source, out = channels
    subject = Subject(network_with([[-1, 1, "Conv", [source, 3, 2]], [-1, 1, "Conv", [out, 3, 1]]], "strips"))
    expected, _ = step_of(subject, LARGE, exact=True)
    for threads in (1, 2):
        assert_near(step_of(subject, LARGE, threads=threads)[0], expected)


@needs_amx
@pytest.mark.parametrize("channels", [32, 80])
def test_batch_norms_take_the_sums_that_convolutions_take(channels: int) -> None:
    """Of C3 two norms follow one convolution: the first reads its sums, the second the map."""
    rows = [[-1, 1, "Conv", [channels, 3, 2]], [-1, 1, "C3", [channels]], [-1, 1, "Conv", [24, 3, 2]]]
    subject = Subject(network_with(rows, "sums"))
    for threads in (1, 2, 3):
        passes = [subject.passes(SHAPES[2], precision="bf16", threads=threads, exact=exact) for exact in (False, True)]
        norms = [[step.bytes for step in made.executor.steps if step.kind == "norm"] for made in passes]
        assert sum(ours < theirs for ours, theirs in zip(*norms)) >= len(norms[0]) - 1
        images, slopes = random_images(SHAPES[2]), head_slopes(passes[0])
        found, expected = (subject.compiled(made, images, slopes).statistics for made in passes)
        for name, right in expected.items():
            assert off(found[name], right) <= 1e-4, name


@needs_amx
def test_a_step_repeats_itself() -> None:
    subject = Subject(network_with([[-1, 1, "Conv", [48, 3, 2]], [-1, 1, "Conv", [40, 3, 2]]], "twice"))
    first, second = (step_of(subject, SHAPES[1])[0] for _ in range(2))
    assert all(np.array_equal(first.gradients[name], second.gradients[name]) for name in first.gradients)
