"""Clipping, optimizer and EMA in one graph whose rates are inputs, so that no schedule needs recompiling.

On several ranks OneFlow adds up their gradients, and each rank updates. The statistics of batch norms become their mean
over the ranks on the way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import oneflow as flow

from graphs.base import StaticGraph
from graphs.train_state import TrainState
from yolo import native
from yolo.distributed.tensors import PARTIAL_SUM, REPLICATED, local, replicated, write
from yolo.program.operator import call

OPTIMIZERS = ("SGD", "Adam", "AdamW")
MAX_NORM = 10.0
BETA2 = 0.999
ADAM_EPSILON = 1e-8


@dataclasses.dataclass(frozen=True)
class Rates:
    """One update's numbers. bias, weight, norm: learning rates of the groups; step counts updates from 1 (Adam)."""

    bias: float
    weight: float
    norm: float
    momentum: float
    ema_decay: float
    step: int

    def array(self) -> np.ndarray:
        """float32 [7], the update graph's input."""
        values = [self.bias, self.weight, self.norm, self.momentum, self.ema_decay]
        corrections = [1.0 - self.momentum**self.step, 1.0 - BETA2**self.step]
        return np.asarray(values + corrections, np.float32)


class UpdateGraph(StaticGraph):
    """rates float32 [7] (``Rates.array``) -> float32 [1], the gradient's norm before clipping.

    Clips the accumulated gradient to a norm of 10, takes one step of SGD with Nesterov momentum, Adam or AdamW with the
    formulas of PyTorch, moves the EMA of parameters and statistics, and empties the gradient.
    """

    def __init__(self, state: TrainState, optimizer: str, weight_decay: float) -> None:
        super().__init__()
        self.network = state.network  # registers the parameters with the graph
        self._parts = (state, optimizer, weight_decay)

    def __call__(self, rates: flow.Tensor) -> flow.Tensor:
        state = self._parts[0]
        if state.ranks.alone:
            return super().__call__(rates)
        gradient = local(state.gradient)
        own = flow.cat([gradient, *(local(slot.tensor).reshape(-1) for slot in state.vector.statistics)])
        norm = super().__call__(rates, own.to_global(placement=state.gradient.placement, sbp=PARTIAL_SUM))
        gradient.zero_()
        return norm

    def build(self, rates: flow.Tensor, summand: flow.Tensor | None = None) -> flow.Tensor:
        """``summand``: of several ranks each one's gradient and statistics."""
        state, vector = self._parts[0], self._parts[0].vector
        if summand is None:
            norm = self._move(rates, state.gradient, [slot.tensor.reshape(-1) for slot in vector.statistics])
            write(state.gradient, state.gradient * 0.0)
            return norm
        total, size = replicated(summand), vector.parameter_size
        statistics = [total[size:] / state.ranks.count] if vector.statistics else []
        norm = self._move(rates, total[:size], statistics)
        for means in statistics:
            vector.write(vector.statistics, means)
        return norm

    def _move(self, rates: flow.Tensor, gradient: flow.Tensor, statistics: Sequence[flow.Tensor]) -> flow.Tensor:
        """Parameters by the gradient, and the EMA of parameters and ``statistics``; gives the gradient's norm."""
        state, vector = self._parts[0], self._parts[0].vector
        norm = (gradient * gradient).sum().sqrt().reshape(1)
        new = self._step(gradient * (MAX_NORM / (norm + 1e-6)).clamp(None, 1.0), rates)
        frozen = [slot.tensor.reshape(-1) for slot in vector.frozen]
        decay = rates[4:5]
        write(state.ema, state.ema * decay + flow.cat([new, *frozen, *statistics]) * (1.0 - decay))
        vector.write(vector.parameters, new)
        return norm

    def _step(self, gradient: flow.Tensor, rates: flow.Tensor) -> flow.Tensor:
        """The new parameters. Vectors stand left of one-element tensors: the other order is 300 times slower here."""
        state, optimizer, weight_decay = self._parts
        vector = state.vector
        old = flow.cat([slot.tensor.reshape(-1) for slot in vector.parameters])
        momentum, decay = rates[3:4], (0.0, weight_decay, 0.0)
        if optimizer != "AdamW":
            gradient = vector.by_group(lambda g, w, k: g + w * decay[k] if decay[k] else g, gradient, old)
        if optimizer == "SGD":
            first = state.first * momentum + gradient
            write(state.first, first)
            direction = gradient + first * momentum
        else:
            first = state.first * momentum + gradient * (1.0 - momentum)
            second = state.second * BETA2 + gradient * gradient * (1.0 - BETA2)
            write(state.first, first)
            write(state.second, second)
            direction = (first / rates[5:6]) / ((second / rates[6:7]).sqrt() + ADAM_EPSILON)
        if optimizer == "AdamW":
            direction = vector.by_group(lambda d, w, k: d + w * decay[k] if decay[k] else d, direction, old)
        return vector.by_group(lambda w, d, k: w - d * rates[k : k + 1], old, direction)


class DeviceUpdateGraph(StaticGraph):
    """The same as one operator on the vectors of a device, which it knows."""

    def __init__(self, operator: Any) -> None:
        """``operator``: ``TrainVectors``' own (csrc/program/cuda/step.h: UpdateStep)."""
        super().__init__()
        self._operator = operator

    def build(self, rates: flow.Tensor) -> flow.Tensor:
        (norm,) = call(self._operator, [rates], [((1,), flow.float32)])
        return norm


class CompiledUpdateGraph(StaticGraph):
    """The same as one operator on flat vectors, ``state.values`` among them."""

    def __init__(self, state: TrainState, optimizer: str, weight_decay: float) -> None:
        super().__init__()
        vector, ranks = state.vector, state.ranks.count
        rest, frozen = vector.size - vector.parameter_size, sum(slot.size for slot in vector.frozen)
        self._operator = native.UpdateStep(optimizer, vector.group_sizes, rest, weight_decay, ranks, frozen)
        self._contribution = native.Contribution(vector.parameter_size, frozen, vector.size, ranks)
        self._parts = (state,)

    def build(self, rates: flow.Tensor) -> flow.Tensor:
        (state,), inputs = self._parts, [rates]
        if not state.ranks.alone:
            given, sbp = ((state.vector.size,), flow.float32), [PARTIAL_SUM, REPLICATED, PARTIAL_SUM]
            inputs += map(replicated, call(self._contribution, [state.gradient, state.values], [given], sbp=sbp))
        mutable = [state.values, state.gradient, state.first, state.second, state.ema]
        sbp = [*[REPLICATED] * len(inputs), REPLICATED, PARTIAL_SUM, REPLICATED, REPLICATED, REPLICATED, REPLICATED]
        (norm,) = call(self._operator, inputs, [((1,), flow.float32)], mutable, sbp)
        return norm
