"""Whole networks on a CUDA device's executor equal the CPU's."""

from __future__ import annotations

import numpy as np
import pytest

from tests.program.cuda.programs import heads, passes
from tests.program.layer_cases import cases
from tests.program.networks import narrow_zoo_network, network_with, random_images, state_of, stirred
from tests.program.training_reference import Step, Subject, head_slopes, off
from yolo.models.config import PRESETS
from yolo.models.network import Network
from yolo.program.compiled import CompiledNetwork

CASES = cases()
ZOO = sorted(path.stem for path in PRESETS.glob("*.yaml"))
SHAPE = (2, 3, 32, 48)


def worst(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest difference of heads, relative to the largest value."""
    assert [head.shape for head in found] == [head.shape for head in expected]
    largest = max(np.abs(head).max() for head in expected)
    return max(np.abs(ours - theirs).max() for ours, theirs in zip(found, expected)) / largest


def on_cpu(network: Network, images: np.ndarray) -> list[np.ndarray]:
    return CompiledNetwork.of(network.spec, state_of(network)).program(images.shape)(images)


def assert_near(found: Step, expected: Step) -> None:
    """Both are sums of float32 in orders of their own: a gradient that is none but for roundings has no size of its own
    and is held against float32's resolution of the largest."""
    assert worst(found.heads, expected.heads) <= 1e-4
    largest = max(np.linalg.norm(gradient) for gradient in expected.gradients.values())
    for name, right in expected.gradients.items():
        assert off(found.gradients[name], right, unit=1e-4 * largest) <= 1e-3, name
    for name, right in expected.statistics.items():
        assert off(found.statistics[name], right) <= 1e-4, name


@pytest.mark.parametrize("name", CASES)
def test_every_layer(name: str) -> None:
    network, images = network_with(CASES[name], name), random_images(SHAPE)
    assert worst(heads(network, images), on_cpu(network, images)) <= 1e-5
    subject = Subject(network)
    on_device = passes(subject, SHAPE)
    slopes = head_slopes(on_device)
    step = subject.compiled(on_device, images, slopes)
    assert_near(step, subject.compiled(subject.passes(SHAPE), images, slopes))


@pytest.mark.parametrize("name", ZOO)
def test_every_model(name: str) -> None:
    network = stirred(narrow_zoo_network(name, 0.125), 0)
    side = 2 * max(*network.spec.strides, 32)  # the deepest maps of a network without a head there have that stride
    images = random_images((1, 3, side, side // 2 * 3))
    assert worst(heads(network, images), on_cpu(network, images)) <= 1e-4
