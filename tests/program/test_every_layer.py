"""All that the model parser accepts compiles, for inference and for training, and equals the plain modules."""

from __future__ import annotations

import numpy as np
import pytest

from tests.program.layer_cases import ARGUMENTS, cases
from tests.program.networks import network_with, random_images, raw_heads, state_of
from tests.program.training_reference import Step, Subject, assert_equal, head_slopes
from yolo.models.rules import RULES
from yolo.program.compiled import CompiledNetwork
from yolo.program.lower import LOWERINGS

CASES = cases()
SHAPE = (2, 3, 48, 80)


def test_every_module_of_the_parser_is_tried() -> None:
    assert set(ARGUMENTS) == set(RULES) - {"Detect"} == set(LOWERINGS) | {"Concat"}


@pytest.mark.parametrize("name", CASES)
def test_compiled_equals_plain(name: str) -> None:
    network, images = network_with(CASES[name], name), random_images(SHAPE)
    expected = raw_heads(network, images)
    found = CompiledNetwork.of(network.spec, state_of(network)).program(SHAPE)(images)
    largest = max(np.abs(head).max() for head in expected)
    assert [head.shape for head in found] == [head.shape for head in expected] and largest > 0
    assert max(np.abs(ours - theirs).max() for ours, theirs in zip(found, expected)) <= 1e-5 * largest
    subject = Subject(network)
    passes = subject.passes(SHAPE)
    slopes = head_slopes(passes)
    step = subject.compiled(passes, images, slopes)
    assert_same(subject.compiled(subject.passes(SHAPE, recompute=True), images, slopes), step)
    assert_equal(step, subject.plain(images, slopes))


def assert_same(first: Step, second: Step) -> None:
    """Bit for bit."""
    for ours, theirs in zip(first.heads, second.heads):
        np.testing.assert_array_equal(ours, theirs)
    for part in ("gradients", "statistics"):
        for name, values in getattr(first, part).items():
            np.testing.assert_array_equal(values, getattr(second, part)[name])
