"""Training programs of partly frozen networks: what learns has the same gradients, and what is behind it no work."""

from __future__ import annotations

import numpy as np
import pytest

from tests.program.networks import network_of, random_images, two_levels
from tests.program.training_reference import Subject, head_slopes
from yolo.models.network import Network

SHAPE = (2, 3, 64, 96)


@pytest.mark.parametrize(
    ("make", "layers"),
    [
        (two_levels, (0, 1, 2)),
        (two_levels, (1, 3)),
        (lambda: network_of("csp"), (0, 1)),
        (lambda: network_of("transposed"), (0, 1)),
        (lambda: network_of("joined"), (0, 1)),
        (lambda: network_of("transformer"), (0, 1)),
    ],
)
def test_what_learns_has_the_gradients_that_it_always_has(make, layers: tuple[int, ...]) -> None:
    network: Network = make()
    subject, images = Subject(network), random_images(SHAPE)
    frozen = {slot.name for slot in subject.vector.parameters if int(slot.name.split(".")[1]) in layers}
    usual, partly = subject.passes(SHAPE), subject.passes(SHAPE, frozen=frozen)
    slopes = head_slopes(usual)
    expected, found = subject.compiled(usual, images, slopes), subject.compiled(partly, images, slopes)
    for name, gradient in found.gradients.items():
        if name not in frozen:
            np.testing.assert_array_equal(gradient, expected.gradients[name], err_msg=name)
    for name, values in found.statistics.items():
        np.testing.assert_array_equal(values, expected.statistics[name], err_msg=name)
    first = [name for name in frozen if name.split(".")[1] == "0"]
    assert not any(found.gradients[name].any() for name in first)
    if first:
        assert len(partly.executor.steps) < len(usual.executor.steps)
