"""Clipping, optimizer and EMA in one graph whose rates are inputs, so that no schedule needs recompiling."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import oneflow as flow

from graphs.base import StaticGraph
from graphs.parameters import ParameterVector
from yolo.distributed.tensors import write
from yolo.program._native import native
from yolo.program.operator import call

OPTIMIZERS = ("SGD", "Adam", "AdamW")
MAX_NORM = 10.0
BETA2 = 0.999
ADAM_EPSILON = 1e-8


@dataclasses.dataclass
class OptimizerState:
    """Vectors that live as long as a training run; the graphs hold them by reference.

    gradient, first, second: float32 [parameter_size] (accumulated gradient; momentum or first moment; second moment,
    one element with SGD). ema: float32 [size], in the vector's order.
    """

    gradient: flow.Tensor
    first: flow.Tensor
    second: flow.Tensor
    ema: flow.Tensor

    @classmethod
    def of(cls, vector: ParameterVector, optimizer: str, *, room: int = 0) -> OptimizerState:
        """``room``: more elements for the gradient, which nothing reads."""
        count, device = vector.parameter_size, vector.device
        return cls(
            gradient=flow.zeros(count + room, device=device),
            first=flow.zeros(count, device=device),
            second=flow.zeros(1 if optimizer == "SGD" else count, device=device),
            ema=flow.tensor(vector.gather(), device=device),
        )


@dataclasses.dataclass(frozen=True)
class Rates:
    """One update's numbers. bias, weight, norm: learning rates of the groups; step counts updates from 1 (Adam)."""

    bias: float
    weight: float
    norm: float
    momentum: float
    ema_decay: float
    step: int

    def tensor(self) -> flow.Tensor:
        """float32 [7], the update graph's input."""
        values = [self.bias, self.weight, self.norm, self.momentum, self.ema_decay]
        corrections = [1.0 - self.momentum**self.step, 1.0 - BETA2**self.step]
        return flow.tensor(np.asarray(values + corrections, np.float32))


class UpdateGraph(StaticGraph):
    """rates float32 [7] (``Rates.tensor``) -> float32 [1], the gradient's norm before clipping.

    Clips the accumulated gradient to a norm of 10, takes one step of SGD with Nesterov momentum, Adam or AdamW with the
    formulas of PyTorch, moves the EMA of parameters and statistics, and empties the gradient.
    """

    def __init__(
        self,
        network: flow.nn.Module,
        vector: ParameterVector,
        state: OptimizerState,
        optimizer: str,
        weight_decay: float,
    ) -> None:
        super().__init__()
        self.network = network  # registers the parameters with the graph
        self._parts = (vector, state)
        self._optimizer, self._weight_decay = optimizer, weight_decay

    def build(self, rates: flow.Tensor) -> flow.Tensor:
        vector, state = self._parts
        norm = self._move(rates, state.gradient, [slot.tensor.reshape(-1) for slot in vector.statistics])
        write(state.gradient, state.gradient * 0.0)
        return norm

    def _move(self, rates: flow.Tensor, gradient: flow.Tensor, statistics: Sequence[flow.Tensor]) -> flow.Tensor:
        """Parameters by the gradient, and the EMA of parameters and ``statistics``; gives the gradient's norm."""
        vector, state = self._parts
        norm = (gradient * gradient).sum().sqrt().reshape(1)
        new = self._step(gradient * (MAX_NORM / (norm + 1e-6)).clamp(None, 1.0), rates)
        frozen = [slot.tensor.reshape(-1) for slot in vector.frozen]
        decay = rates[4:5]
        write(state.ema, state.ema * decay + flow.cat([new, *frozen, *statistics]) * (1.0 - decay))
        vector.write(vector.parameters, new)
        return norm

    def _step(self, gradient: flow.Tensor, rates: flow.Tensor) -> flow.Tensor:
        """The new parameters. Vectors stand left of one-element tensors: the other order is 300 times slower here."""
        vector, state = self._parts
        old = flow.cat([slot.tensor.reshape(-1) for slot in vector.parameters])
        momentum, decay = rates[3:4], (0.0, self._weight_decay, 0.0)
        if self._optimizer != "AdamW":
            gradient = vector.by_group(lambda g, w, k: g + w * decay[k] if decay[k] else g, gradient, old)
        if self._optimizer == "SGD":
            first = state.first * momentum + gradient
            write(state.first, first)
            direction = gradient + first * momentum
        else:
            first = state.first * momentum + gradient * (1.0 - momentum)
            second = state.second * BETA2 + gradient * gradient * (1.0 - BETA2)
            write(state.first, first)
            write(state.second, second)
            direction = (first / rates[5:6]) / ((second / rates[6:7]).sqrt() + ADAM_EPSILON)
        if self._optimizer == "AdamW":
            direction = vector.by_group(lambda d, w, k: d + w * decay[k] if decay[k] else d, direction, old)
        return vector.by_group(lambda w, d, k: w - d * rates[k : k + 1], old, direction)


class CompiledUpdateGraph(StaticGraph):
    """The same as one operator on flat vectors.

    ``values``: float32 [size], parameters then statistics in ``vector``'s order; they take the place of the network's
    own tensors.
    """

    def __init__(
        self, vector: ParameterVector, values: flow.Tensor, state: OptimizerState, optimizer: str, weight_decay: float
    ) -> None:
        super().__init__()
        statistics = vector.size - vector.parameter_size
        self._operator = native.UpdateStep(optimizer, vector.group_sizes, statistics, weight_decay)
        self._mutable = [values, state.gradient, state.first, state.second, state.ema]

    def build(self, rates: flow.Tensor) -> flow.Tensor:
        (norm,) = call(self._operator, [rates], [((1,), flow.float32)], mutable=self._mutable)
        return norm
