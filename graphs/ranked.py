"""Training graphs on several ranks: every rank has a part of the batch and all of the weights."""

from __future__ import annotations

import oneflow as flow

from graphs.base import StaticGraph
from graphs.parameters import ParameterVector
from graphs.update import OptimizerState
from yolo.distributed.tensors import PARTIAL_SUM, REPLICATED, SPLIT
from yolo.program._native import native
from yolo.program.gradients import CompiledTraining
from yolo.program.operator import call


class RankedTrainGraph(StaticGraph):
    """``graphs.train.CompiledTrainGraph`` on global tensors: the loss and gradient of the whole batch.

    images, labels and counts are split over the ranks; ``values`` are whole on each, and ``gradient`` is a summand on
    each, which nobody adds up before the weights are to move. The number of matches, over which the loss takes its
    means, is the whole batch's: it comes from the labels alone, so the ranks share it before they start.
    """

    def __init__(self, compiled: CompiledTraining, values: flow.Tensor, gradient: flow.Tensor) -> None:
        super().__init__()
        self._parts = (compiled, values, gradient)

    def build(self, images: flow.Tensor, labels: flow.Tensor, counts: flow.Tensor) -> flow.Tensor:
        compiled, values, gradient = self._parts
        ranks, max_labels = len(images.placement.ranks), labels.shape[1]
        shape = (images.shape[0] // ranks, *images.shape[1:])
        counter = compiled.match_count(shape, max_labels)
        levels = ((compiled.levels,), flow.float64)
        (matches,) = call(counter, [labels, counts], [levels], sbp=[SPLIT, SPLIT, PARTIAL_SUM])
        inputs = [images, labels, counts, matches.to_global(sbp=REPLICATED)]
        self._operator = compiled.step(shape, max_labels, ranks)
        sbp = [SPLIT, SPLIT, SPLIT, REPLICATED, REPLICATED, PARTIAL_SUM, PARTIAL_SUM]
        (parts,) = call(self._operator, inputs, [((4,), flow.float32)], [values, gradient], sbp)
        return parts.to_global(sbp=REPLICATED)


class RankedUpdateGraph(StaticGraph):
    """``graphs.update.CompiledUpdateGraph`` on global tensors: OneFlow adds up the ranks' gradients, each rank updates.

    The statistics of batch norms become their mean over the ranks on the way.
    """

    def __init__(
        self, vector: ParameterVector, values: flow.Tensor, state: OptimizerState, optimizer: str, weight_decay: float
    ) -> None:
        super().__init__()
        ranks = len(values.placement.ranks)
        rest, frozen = vector.size - vector.parameter_size, sum(slot.size for slot in vector.frozen)
        self._contribution = native.Contribution(vector.parameter_size, frozen, vector.size, ranks)
        self._operator = native.UpdateStep(optimizer, vector.group_sizes, rest, weight_decay, ranks, frozen)
        self._size = vector.size
        self._mutable = [values, state.gradient, state.first, state.second, state.ema]

    def build(self, rates: flow.Tensor) -> flow.Tensor:
        values, gradient = self._mutable[:2]
        given = [((self._size,), flow.float32)]
        (summand,) = call(self._contribution, [gradient, values], given, sbp=[PARTIAL_SUM, REPLICATED, PARTIAL_SUM])
        total = summand.to_global(sbp=REPLICATED)
        sbp = [REPLICATED, REPLICATED, REPLICATED, PARTIAL_SUM, REPLICATED, REPLICATED, REPLICATED, REPLICATED]
        (norm,) = call(self._operator, [rates, total], [((1,), flow.float32)], self._mutable, sbp)
        return norm
