"""A graph's outputs as arrays, without the copies that ``nn.Graph`` makes of them."""

from __future__ import annotations

import time

import numpy as np
import oneflow as flow
import pytest

from tests.program.function_runnable import FunctionRunnable
from tests.program.samples import FLOATS, VECTOR, FunctionGraph, X
from yolo.program.operator import call


def slowly_doubled(inputs, outputs) -> None:
    time.sleep(0.02)
    np.multiply(inputs[0], 2, outputs[0])


@pytest.fixture
def graph() -> FunctionGraph:
    runnable = FunctionRunnable(slowly_doubled, [VECTOR], [VECTOR])

    def build(x: flow.Tensor) -> tuple[flow.Tensor, flow.Tensor]:
        (doubled,) = call(runnable, [x], FLOATS)
        return doubled, doubled + 1.0

    return FunctionGraph(build)


def test_they_are_what_a_call_gives(graph: FunctionGraph) -> None:
    """Also among calls, and calls that nobody has waited for."""
    for number in range(6):
        x = X * number
        early = graph(flow.tensor(X * 100))
        doubled, more = graph.arrays(flow.tensor(x))
        np.testing.assert_array_equal(doubled, 2 * x)
        np.testing.assert_array_equal(more, 2 * x + 1)
        np.testing.assert_array_equal(early[0].numpy(), X * 200)


def test_they_hold_until_the_call_after_the_next(graph: FunctionGraph) -> None:
    first, second = (graph.arrays(flow.tensor(X * number)) for number in (1, 2))
    np.testing.assert_array_equal(first[0], 2 * X)
    np.testing.assert_array_equal(second[1], 4 * X + 1)


def test_an_array_outlives_the_graph(graph: FunctionGraph) -> None:
    doubled, _ = graph.arrays(flow.tensor(X))
    del graph
    np.testing.assert_array_equal(doubled, 2 * X)
