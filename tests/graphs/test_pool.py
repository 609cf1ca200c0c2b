"""A pool compiles each shape once, and has no more graphs than it may: OneFlow never gives one back wholly."""

from __future__ import annotations

import logging

import numpy as np
import oneflow as flow
import pytest

from graphs.base import StaticGraph, called
from graphs.pool import GraphPool

LIMIT = 3


class Scale(StaticGraph):
    """weight * x + 1."""

    made = 0

    def __init__(self, layer: flow.nn.Module) -> None:
        super().__init__()
        self.layer = layer
        Scale.made += 1

    def build(self, x: flow.Tensor) -> flow.Tensor:
        return called(self.layer)(x) + 1.0


@pytest.fixture
def pool() -> GraphPool:
    layer = flow.nn.Linear(1, 1, bias=False)
    layer.weight.copy_(flow.tensor(np.float32([[3.0]])))
    Scale.made = 0
    return GraphPool(lambda: Scale(layer), limit=LIMIT)


def call(pool: GraphPool, rows: int, value: float = 1.0) -> list:
    return pool(flow.tensor(np.full((rows, 1), value, np.float32))).numpy()[:, 0].tolist()


def test_a_shape_is_compiled_once(pool: GraphPool) -> None:
    assert [call(pool, 4, value) for value in (1.0, 5.0, -4.0)] == [[4.0] * 4, [16.0] * 4, [-11.0] * 4]
    assert Scale.made == len(pool) == 1 and pool.compile_seconds > 0


def test_there_are_no_more_graphs_than_were_allowed(pool: GraphPool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for turn in range(2):
        for rows in range(1, 9):
            assert call(pool, rows, rows) == [3.0 * rows + 1] * rows, turn
    assert len(pool) == LIMIT and Scale.made == LIMIT + 1  # and one whose operators are called
    assert [record.message for record in caplog.records] == [
        "more than 3 shapes of batches: the others run without a graph"
    ]


def test_what_runs_without_a_graph_keeps_no_gradient(pool: GraphPool) -> None:
    for rows in range(1, LIMIT + 1):
        call(pool, rows)
    assert not pool(flow.ones(9, 1)).requires_grad


def test_an_output_outlives_the_next_call(pool: GraphPool) -> None:
    first = pool(flow.ones(2, 1) * 2.0)
    call(pool, 2, 7.0)
    assert first.numpy().tolist() == [[7.0], [7.0]]
