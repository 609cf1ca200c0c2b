"""Tensors that a Runnable writes: seen by Python and by other graphs, in OneFlow's order."""

from __future__ import annotations

import time

import numpy as np
import oneflow as flow
import pytest

from graphs.base import StaticGraph, synchronise
from tests.program.function_runnable import FunctionRunnable
from tests.program.samples import FLOATS, VECTOR, FunctionGraph, X, add_to_mutable, adder, x
from yolo.program.operator import call


def test_without_inputs_and_without_outputs(mode):
    vector = flow.zeros(3)
    fill = FunctionRunnable(lambda inputs, outputs: inputs[0].fill(5), [VECTOR], [])

    def function(x):
        assert call(fill, [], [], [vector]) == ()
        return x * 1.0

    mode(function)(x())
    synchronise()
    assert vector.numpy().tolist() == [5.0] * 3


@pytest.mark.parametrize("outputs", [[], [VECTOR]], ids=["no output", "an unused output"])
def test_what_is_written_is_seen_by_python_and_by_another_graph(outputs):
    vector, runnable = flow.zeros(3), adder(outputs)

    def write(x):
        call(runnable, [x], FLOATS[: len(outputs)], [vector])
        return x * 1.0

    writer, reader = FunctionGraph(write), FunctionGraph(lambda x: vector + x * 0.0)
    for count in range(1, 4):
        writer(x())
        np.testing.assert_array_equal(reader(x()).numpy(), X * count)
        synchronise()
        np.testing.assert_array_equal(vector.numpy(), X * count)
    vector.copy_(flow.zeros(3))
    writer(x())
    synchronise()
    np.testing.assert_array_equal(vector.numpy(), X)


def test_eager_writes_too():
    vector = flow.zeros(3)
    for _ in range(3):
        call(adder(), [x()], [], [vector])
    np.testing.assert_array_equal(vector.numpy(), X * 3)


def test_two_graphs_write_one_tensor_in_turn():
    vector = flow.zeros(3)
    add = FunctionGraph(lambda x: call(adder([VECTOR]), [x], FLOATS, [vector]))
    halve_it = FunctionRunnable(lambda inputs, outputs: np.divide(inputs[0], 2, inputs[0]), [VECTOR], [])

    def halve(x):
        call(halve_it, [], [], [vector])
        return x * 1.0

    half = FunctionGraph(halve)
    for _ in range(20):
        add(x())
        add(x())
        half(x())
    synchronise()
    expected = np.zeros(3, np.float32)
    for _ in range(20):
        expected = (expected + X + X) / 2
    np.testing.assert_array_equal(vector.numpy(), expected)


def test_parameters_and_buffers_of_a_graph_that_trains():
    layer = flow.nn.Linear(3, 1, bias=False)
    layer.register_buffer("total", flow.zeros(3))
    runnable = FunctionRunnable(
        lambda inputs, outputs: (np.copyto(outputs[0], inputs[0]), add_to_mutable(inputs[1:], [])),
        [((1, 3), "float32"), VECTOR, VECTOR],
        [((1, 3), "float32")],
    )

    class Train(StaticGraph):
        def __init__(self) -> None:
            super().__init__()
            self.config._train(True)
            self.layer = layer

        def build(self, x):
            (weight,) = call(runnable, [layer.weight, x], [((1, 3), flow.float32)], [layer.total])
            self.layer(x.reshape(1, 3)).sum().backward()
            gradient = layer.weight.grad * 1.0
            layer.weight.grad = None
            return weight, gradient

    graph = Train()
    weight, gradient = graph(x())
    graph(x())
    np.testing.assert_array_equal(weight.numpy(), layer.weight.numpy())
    np.testing.assert_array_equal(gradient.numpy(), X[None])
    synchronise()
    np.testing.assert_array_equal(layer.total.numpy(), X * 2)


def test_readers_of_a_graph_go_before_its_writer():
    vector = flow.zeros(3)
    runnable = FunctionRunnable(add_to_mutable, [VECTOR, VECTOR], [])
    slow = FunctionRunnable(
        lambda inputs, outputs: (time.sleep(0.01), np.copyto(outputs[0], inputs[0])), [VECTOR], [VECTOR]
    )

    def function(x):
        call(runnable, [x], [], [vector])
        return call(slow, [vector], FLOATS)[0]

    graph = FunctionGraph(function)
    for count in range(5):
        np.testing.assert_array_equal(graph(x()).numpy(), X * count)


def test_a_reader_that_needs_the_new_value_takes_the_writers_output():
    vector = flow.zeros(3)

    def write(inputs, outputs):
        time.sleep(0.01)
        add_to_mutable(inputs, [])
        outputs[0][...] = inputs[1]

    writer = FunctionRunnable(write, [VECTOR, VECTOR], [VECTOR])
    reader = FunctionRunnable(lambda inputs, outputs: np.copyto(outputs[0], inputs[0]), [VECTOR], [VECTOR])
    graph = FunctionGraph(lambda x: call(reader, call(writer, [x], FLOATS, [vector]), FLOATS)[0])
    for count in range(1, 6):
        np.testing.assert_array_equal(graph(x()).numpy(), X * count)
