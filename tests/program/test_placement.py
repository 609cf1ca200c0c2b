"""Where values lie, and how memory is packed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.program.networks import network_of, state_of, zoo_network
from yolo.program import ir
from yolo.program.builder import GraphBuilder
from yolo.program.inference.placement import Placement, place
from yolo.program.ir import Concat, Conv, Graph, Split
from yolo.program.lower import lower
from yolo.program.passes import optimise
from yolo.program.plan_builder import BufferView, pack
from yolo.program.target import Target


def optimised(network):
    return optimise(lower(network.spec, state_of(network)))


def placed(graph: Graph, block: int) -> Placement:
    return place(graph, graph.sizes(64, 64), Target("cpu", "any", block, "fp32", threads=1, weight_limit=127))


@pytest.mark.parametrize("name", ["yolov5n", "yolov5s"])
def test_yolov5_needs_no_copy(name: str) -> None:
    assert not placed(optimised(zoo_network(name)), 16).copies


@pytest.mark.parametrize("block", [8, 16])
@pytest.mark.parametrize("name", ["joined", "ghost", "csp", "sppf"])
def test_concatenations_hold_their_inputs(name: str, block: int) -> None:
    graph = optimised(network_of(name))
    placement = placed(graph, block)
    for node in graph.nodes:
        if not isinstance(node, Concat):
            continue
        whole = placement.views[node.output]
        start = whole.first
        for position, value in enumerate(node.inputs):
            if (node.output, position) not in placement.copies:
                assert placement.views[value] == BufferView(whole.buffer, start, graph.channels[value])
            start += graph.channels[value]


@pytest.mark.parametrize("name", ["joined", "ghost", "sppf"])
def test_no_two_values_that_are_made_lie_on_one_another(name: str) -> None:
    graph = optimised(network_of(name))
    placement = placed(graph, 8)
    made = [node.output for node in graph.nodes if not isinstance(node, (Split, Concat))]
    for buffer in {view.buffer for view in placement.views.values()}:
        taken = np.zeros(buffer.channels, int)
        for view in (placement.views[value] for value in made):
            if view.buffer is buffer:
                taken[view.first : view.first + view.channels] += 1
        assert taken.max(initial=0) <= 1


def test_a_value_in_two_concatenations_is_copied_where_it_cannot_lie_twice() -> None:
    builder = GraphBuilder(3)
    conv = {"weights": "w", "out_channels": 16, "kernel": (1, 1), "where": "w"}
    a, b = (builder.add(Conv, ir.INPUT, **conv) for _ in range(2))
    first = builder.add(Concat, a, b, where="ab")
    second = builder.add(Concat, b, a, where="ba")
    placement = placed(builder.build((first, second), {}), 16)
    assert len(placement.copies) == 1


pieces = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6), st.integers(1, 5000)), max_size=30)


@settings(max_examples=200, deadline=None)
@given(pieces)
def test_memory_is_never_shared_at_one_time(rows) -> None:
    spans, sizes = [(begin, begin + length) for begin, length, _ in rows], [size for *_, size in rows]
    offsets, total = pack(spans, sizes)
    for i in range(len(rows)):
        assert offsets[i] % 64 == 0 and offsets[i] + sizes[i] <= total
        for j in range(i):
            meet = spans[i][0] <= spans[j][1] and spans[j][0] <= spans[i][1]
            apart = offsets[i] + sizes[i] <= offsets[j] or offsets[j] + sizes[j] <= offsets[i]
            assert apart or not meet
