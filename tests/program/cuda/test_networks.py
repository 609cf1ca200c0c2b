"""Whole networks on a CUDA device's executor equal the CPU's."""

from __future__ import annotations

import numpy as np
import pytest

from tests.program.cuda.programs import heads, passes
from tests.program.layer_cases import cases
from tests.program.networks import narrow_zoo_network, network_with, random_images, state_of, stirred
from tests.program.training_reference import Subject, errors, head_slopes
from yolo.models.config import PRESETS
from yolo.models.network import Network
from yolo.program.compiled import CompiledNetwork

CASES = cases()
ZOO = sorted(path.stem for path in PRESETS.glob("*.yaml"))
SHAPE = (2, 3, 48, 80)


def worst(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest difference of heads, relative to the largest value."""
    assert [head.shape for head in found] == [head.shape for head in expected]
    largest = max(np.abs(head).max() for head in expected)
    return max(np.abs(ours - theirs).max() for ours, theirs in zip(found, expected)) / largest


def on_cpu(network: Network, images: np.ndarray) -> list[np.ndarray]:
    return CompiledNetwork.of(network.spec, state_of(network)).program(images.shape)(images)


@pytest.mark.parametrize("name", CASES)
def test_every_layer(name: str) -> None:
    network, images = network_with(CASES[name], name), random_images(SHAPE)
    assert worst(heads(network, images), on_cpu(network, images)) <= 1e-5
    subject = Subject(network)
    on_device = passes(subject, SHAPE)
    slopes = head_slopes(on_device)
    step = subject.compiled(on_device, images, slopes)
    found = errors(step, subject.compiled(subject.passes(SHAPE), images, slopes))
    assert found["heads"] <= 1e-4 and found["gradients"] <= 1e-3 and found["statistics"] <= 1e-4, found


@pytest.mark.parametrize("name", ZOO)
def test_every_model(name: str) -> None:
    network = stirred(narrow_zoo_network(name, 0.125), 0)
    side = 2 * max(network.spec.strides)
    images = random_images((2, 3, side, side + max(network.spec.strides)))
    assert worst(heads(network, images), on_cpu(network, images)) <= 1e-4
