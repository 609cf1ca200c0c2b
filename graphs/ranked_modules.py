"""Training graphs of plain OneFlow modules on several ranks: on GPUs, and on CPUs what compiled ones must equal."""

from __future__ import annotations

import oneflow as flow

from graphs.train import TrainGraph
from graphs.update import UpdateGraph
from yolo.distributed.tensors import PARTIAL_SUM, REPLICATED, local


class RankedModuleTrainGraph(TrainGraph):
    """``TrainGraph`` on global tensors: the loss of the whole batch.

    images, labels and counts are split over the ranks, the network is whole on each. ``gradient`` is a summand on
    each: nobody adds them up before the weights are to move.
    """

    def __call__(self, images: flow.Tensor, labels: flow.Tensor, counts: flow.Tensor) -> flow.Tensor:
        losses, own = super().__call__(images, labels, counts)
        local(self._parts[1]).add_(local(own))  # no graph can write a summand
        return losses

    def build(self, images: flow.Tensor, labels: flow.Tensor, counts: flow.Tensor) -> tuple[flow.Tensor, flow.Tensor]:
        losses, own = self._backward(images, labels, counts)
        return losses.to_global(sbp=REPLICATED), own


class RankedModuleUpdateGraph(UpdateGraph):
    """``UpdateGraph`` on global tensors: OneFlow adds up the ranks' gradients, each rank updates.

    The statistics of batch norms become their mean over the ranks on the way.
    """

    def __call__(self, rates: flow.Tensor) -> flow.Tensor:
        vector, state = self._parts
        gradient = local(state.gradient)
        own = flow.cat([gradient, *(local(slot.tensor).reshape(-1) for slot in vector.statistics)])
        norm = super().__call__(rates, own.to_global(placement=state.gradient.placement, sbp=PARTIAL_SUM))
        gradient.zero_()
        return norm

    def build(self, rates: flow.Tensor, summand: flow.Tensor) -> flow.Tensor:
        vector, _ = self._parts
        total = summand.to_global(sbp=REPLICATED)
        size = vector.parameter_size
        statistics = [total[size:] / len(summand.placement.ranks)] if vector.statistics else []
        norm = self._move(rates, total[:size], statistics)
        for means in statistics:
            vector.write(vector.statistics, means)
        return norm
