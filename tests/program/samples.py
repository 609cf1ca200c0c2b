"""Short graphs and Runnables, and eager and graph runs of one function."""

from __future__ import annotations

import numpy as np
import oneflow as flow

from graphs.base import StaticGraph
from tests.program.function_runnable import FunctionRunnable

VECTOR = ((3,), "float32")
FLOATS = [((3,), flow.float32)]
X = np.array([1, 2, 3], np.float32)


class FunctionGraph(StaticGraph):
    """A graph of any function."""

    def __init__(self, function) -> None:
        super().__init__()
        self._function = function

    def build(self, *inputs):
        return self._function(*inputs)


def x() -> flow.Tensor:
    return flow.tensor(X)


def add_to_mutable(inputs, outputs):
    """The mutable vector grows by the input; the output, if there is one, is what it was before."""
    if outputs:
        outputs[0][...] = inputs[1]
    inputs[1][...] += inputs[0]


def adder(outputs=()) -> FunctionRunnable:
    return FunctionRunnable(add_to_mutable, [VECTOR, VECTOR], list(outputs))
