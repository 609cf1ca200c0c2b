"""A Runnable as an operator of OneFlow: eagerly, in graphs, for as long as anything may run it."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path

import numpy as np
import oneflow as flow
import pytest

from graphs.base import synchronise
from tests.program.function_runnable import FunctionRunnable
from tests.program.samples import FLOATS, VECTOR, FunctionGraph, X, adder, x
from yolo.program.operator import call


class Doubler:
    """A Runnable that keeps a diary of its runs and of its end."""

    def __init__(self, diary: list[str], seconds: float = 0.0) -> None:
        self._diary, self._seconds = diary, seconds
        self._runnable = FunctionRunnable(self._double(diary, seconds), [VECTOR], [VECTOR])
        self.address = self._runnable.address

    def __del__(self) -> None:
        self._diary.append("freed")

    @staticmethod
    def _double(diary, seconds):
        def double(inputs, outputs):
            time.sleep(seconds)
            np.multiply(inputs[0], 2, outputs[0])
            diary.append("ran")

        return double


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int32"])
def test_several_inputs_and_outputs(mode, dtype):
    def sum_and_outer(inputs, outputs):
        np.add(*inputs, outputs[0])
        outputs[1][...] = np.multiply.outer(*inputs)
        outputs[2][...] = inputs[0]

    specs = [((3,), dtype), ((3, 3), dtype), ((1, 3), "float32")]
    runnable = FunctionRunnable(sum_and_outer, [((3,), dtype)] * 2, specs)
    outputs = [((3,), getattr(flow, dtype)), ((3, 3), getattr(flow, dtype)), ([1, 3], flow.float32)]
    a, b = np.array([1, 2, 3], dtype), np.array([10, 20, 30], dtype)
    results = mode(lambda *inputs: call(runnable, inputs, outputs))(flow.tensor(a), flow.tensor(b))
    for result, expected in zip(results, [a + b, np.multiply.outer(a, b), X[None]]):
        assert result.numpy().dtype == expected.dtype
        np.testing.assert_array_equal(result.numpy(), expected)


def test_among_other_operators(mode):
    runnable = FunctionRunnable(lambda inputs, outputs: np.multiply(inputs[0], 2, outputs[0]), [VECTOR], [VECTOR])
    result = mode(lambda x: call(runnable, [x + 1.0], FLOATS)[0] * 10.0)(x())
    np.testing.assert_array_equal(result.numpy(), (X + 1) * 20)


def test_outputs_of_one_number_and_of_none(mode):
    runnable = FunctionRunnable(
        lambda inputs, outputs: outputs[0].fill(inputs[0].sum()), [VECTOR], [((), "float32"), ((0, 4), "int32")]
    )
    total, empty = mode(lambda x: call(runnable, [x], [((), flow.float32), ((0, 4), flow.int32)]))(x())
    assert total.numpy() == 6.0 and total.numpy().shape == () and empty.numpy().shape == (0, 4)


def test_a_slice_is_read_right(mode):
    runnable = FunctionRunnable(lambda inputs, outputs: np.copyto(outputs[0], inputs[0]), [VECTOR], [VECTOR])
    table = np.arange(9, dtype=np.float32).reshape(3, 3)
    result = mode(lambda table: call(runnable, [table[:, 1]], FLOATS)[0])(flow.tensor(table))
    np.testing.assert_array_equal(result.numpy(), table[:, 1])


def test_a_graph_keeps_its_runnable_to_its_end():
    diary: list[str] = []
    graph = FunctionGraph(lambda x: call(Doubler(diary, seconds=0.02), [x], FLOATS)[0])
    results = [graph(x()) for _ in range(5)]
    del graph
    for result in results:
        np.testing.assert_array_equal(result.numpy(), X * 2)
    del result, results
    gc.collect()
    synchronise()
    assert diary == ["ran"] * 5 + ["freed"]


def test_an_eager_run_keeps_its_runnable_to_its_end():
    diary: list[str] = []
    (result,) = call(Doubler(diary, seconds=0.05), [x()], FLOATS)
    np.testing.assert_array_equal(result.numpy(), X * 2)
    synchronise()
    assert diary == ["ran", "freed"]


def test_two_thousand_calls_take_no_memory(mode):
    runnable = FunctionRunnable(lambda inputs, outputs: np.multiply(inputs[0], 2, outputs[0]), [VECTOR], [VECTOR])
    function, value = mode(lambda x: call(runnable, [x], FLOATS)[0]), x()
    for number in range(2200):
        function(value).numpy()
        if number == 200:
            before = resident_bytes()
    assert resident_bytes() < before * 1.02


def test_no_gradient_flows_through(mode):
    runnable = FunctionRunnable(lambda inputs, outputs: np.copyto(outputs[0], inputs[0]), [VECTOR], [VECTOR])
    weight = flow.nn.Parameter(x())
    assert not mode(lambda x: call(runnable, [weight * x], FLOATS)[0])(x()).requires_grad


@pytest.mark.parametrize(
    ("inputs", "mutable", "error", "message"),
    [
        ([X], [], TypeError, "input 0: expected a oneflow.Tensor, got ndarray"),
        ([], [flow.zeros(3, 3)[:, 1]], ValueError, "mutable input 0: expected a contiguous tensor"),
    ],
)
def test_what_cannot_be_passed(inputs, mutable, error, message):
    with pytest.raises(error, match=message):
        call(adder(), inputs, [], mutable)


def test_one_tensor_read_and_written_by_one_operator_is_refused():
    vector = flow.zeros(3)
    for inputs, mutable in (([vector], [vector]), ([], [vector, vector])):
        with pytest.raises(ValueError, match="is given twice"):
            call(adder(), inputs, [], mutable)
