"""Forward, loss and backward in one graph; gradients add up in a vector that the update graph empties.

Of several ranks each has a part of the batch, split over them, and all of the weights: what comes out is the whole
batch's. Its gradient is a summand, which nobody adds up before the weights are to move.
"""

from __future__ import annotations

import oneflow as flow

from graphs.base import StaticGraph, to_unit_range
from graphs.train_state import TrainState
from yolo.distributed.tensors import PARTIAL_SUM, REPLICATED, SPLIT, local, replicated, write
from yolo.loss.reference import combine_terms, loss_terms
from yolo.loss.settings import LossSettings
from yolo.program.gradients import CompiledTraining
from yolo.program.operator import call


class TrainGraph(StaticGraph):
    """images uint8 [B, 3, H, W], labels float32 [B, M, 5], counts int32 [B] -> float32 [4]: loss, box, obj, cls.

    The network runs as plain OneFlow modules; this is what ``CompiledTrainGraph`` must equal.
    The loss is the sum of the three parts times B, as in YOLOv5. Its gradient is added to ``state.gradient``, so that
    several calls accumulate.
    """

    def __init__(self, state: TrainState, settings: LossSettings) -> None:
        super().__init__()
        # Makes loss.backward() legal without an optimizer inside this graph.
        self.config._train(True)
        self.network = state.network
        self._parts = (state, settings)

    def __call__(self, images: flow.Tensor, labels: flow.Tensor, counts: flow.Tensor) -> flow.Tensor:
        state, _ = self._parts
        if state.ranks.alone:
            return super().__call__(images, labels, counts)
        losses, own = super().__call__(images, labels, counts)
        local(state.gradient).add_(local(own))  # no graph can write a summand
        return losses

    def build(
        self, images: flow.Tensor, labels: flow.Tensor, counts: flow.Tensor
    ) -> flow.Tensor | tuple[flow.Tensor, flow.Tensor]:
        state, settings = self._parts
        heads = self.network(to_unit_range(images))
        terms = loss_terms(heads, labels, counts, self.network.anchors, self.network.strides, settings)
        parts = flow.stack(list(combine_terms(terms, settings)))
        loss = parts.sum() * images.shape[0]
        loss.backward()
        own = flow.cat([slot.tensor.grad.reshape(-1) for slot in state.vector.parameters])
        for slot in state.vector.parameters:
            slot.tensor.grad = None  # a lazy tensor left here would break the next graph's backward
        losses = flow.cat([loss.reshape(1), parts])
        if not state.ranks.alone:
            return replicated(losses), own
        write(state.gradient, state.gradient + own)
        return losses


class DeviceTrainGraph(StaticGraph):
    """labels, counts -> losses: the same as one operator on a device that keeps all that moves.

    The images are there already: ``take`` says which are the next call's.
    """

    def __init__(
        self, compiled: CompiledTraining, state: TrainState, shape: tuple[int, int, int, int], max_labels: int
    ) -> None:
        """``shape``: of this rank's images."""
        super().__init__()
        self._parts = (compiled, state, shape)
        self._operator = compiled.step(shape, max_labels, state.ranks.count, state.on_device)
        self.take = self._operator.take

    def build(self, labels: flow.Tensor, counts: flow.Tensor) -> flow.Tensor:
        compiled, state, shape = self._parts
        inputs = [labels, counts]
        if not state.ranks.alone:
            inputs.append(whole_matches(compiled, shape, labels, counts))
        sbp = [SPLIT, SPLIT, *[REPLICATED] * (len(inputs) - 2), PARTIAL_SUM]
        (parts,) = call(self._operator, inputs, [((4,), flow.float32)], sbp=sbp)
        return replicated(parts)


def whole_matches(
    compiled: CompiledTraining, shape: tuple[int, int, int, int], labels: flow.Tensor, counts: flow.Tensor
) -> flow.Tensor:
    """The matches a level of all ranks' labels, float64 [levels]; ``shape``: of a rank's images."""
    counter, sbp = compiled.match_count(shape, labels.shape[1]), [SPLIT, SPLIT, PARTIAL_SUM]
    (matches,) = call(counter, [labels, counts], [((compiled.levels,), flow.float64)], sbp=sbp)
    return replicated(matches)


class CompiledTrainGraph(StaticGraph):
    """The same as one operator: the network's training program, with the loss between its two passes.

    It moves the statistics in ``state.values``. On several ranks the number of matches, over which the loss takes its
    means, is the whole batch's: it comes from the labels alone, so the ranks add it up before they start.
    """

    def __init__(self, compiled: CompiledTraining, state: TrainState) -> None:
        super().__init__()
        self._parts = (compiled, state)

    def build(self, images: flow.Tensor, labels: flow.Tensor, counts: flow.Tensor) -> flow.Tensor:
        compiled, state = self._parts
        ranks, max_labels = state.ranks.count, labels.shape[1]
        shape = (images.shape[0] // ranks, *images.shape[1:])
        inputs = [images, labels, counts]
        if ranks > 1:
            inputs.append(whole_matches(compiled, shape, labels, counts))
        self._operator = compiled.step(shape, max_labels, ranks)
        sbp = [SPLIT, SPLIT, SPLIT, *[REPLICATED] * (ranks > 1), REPLICATED, PARTIAL_SUM, PARTIAL_SUM]
        (parts,) = call(self._operator, inputs, [((4,), flow.float32)], [state.values, state.gradient], sbp)
        return replicated(parts)
