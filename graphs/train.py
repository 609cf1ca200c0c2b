"""Forward, loss and backward in one graph; gradients add up in a vector that the update graph empties."""

from __future__ import annotations

import oneflow as flow

from graphs.base import StaticGraph, to_unit_range
from graphs.parameters import ParameterVector
from yolo.distributed.tensors import write
from yolo.loss.reference import combine_terms, loss_terms
from yolo.loss.settings import LossSettings
from yolo.program.gradients import CompiledTraining
from yolo.program.operator import call


class TrainGraph(StaticGraph):
    """images uint8 [B, 3, H, W], labels float32 [B, M, 5], counts int32 [B] -> float32 [4]: loss, box, obj, cls.

    The network runs as plain OneFlow modules; this is what ``CompiledTrainGraph`` must equal.
    The loss is the sum of the three parts times B, as in YOLOv5. Its gradient is added to ``gradient``
    (float32 [parameter_size], in ``vector``'s order), so that several calls accumulate.
    """

    def __init__(
        self, network: flow.nn.Module, vector: ParameterVector, gradient: flow.Tensor, settings: LossSettings
    ) -> None:
        super().__init__()
        # Makes loss.backward() legal without an optimizer inside this graph.
        self.config._train(True)
        self.network = network
        self._parts = (vector, gradient, settings, network.anchors, network.strides)

    def build(self, images: flow.Tensor, labels: flow.Tensor, counts: flow.Tensor) -> flow.Tensor:
        losses, own = self._backward(images, labels, counts)
        gradient = self._parts[1]
        write(gradient, gradient + own)
        return losses

    def _backward(
        self, images: flow.Tensor, labels: flow.Tensor, counts: flow.Tensor
    ) -> tuple[flow.Tensor, flow.Tensor]:
        """The losses, and the loss's gradient."""
        vector, _, settings, anchors, strides = self._parts
        heads = self.network(to_unit_range(images))
        terms = loss_terms(heads, labels, counts, anchors, strides, settings)
        parts = flow.stack(list(combine_terms(terms, settings)))
        loss = parts.sum() * images.shape[0]
        loss.backward()
        gradient = flow.cat([slot.tensor.grad.reshape(-1) for slot in vector.parameters])
        for slot in vector.parameters:
            slot.tensor.grad = None  # a lazy tensor left here would break the next graph's backward
        return flow.cat([loss.reshape(1), parts]), gradient


class CompiledTrainGraph(StaticGraph):
    """The same as one operator: the network's training program, with the loss between its two passes.

    ``values``: float32 [size], parameters then statistics in ``ParameterVector``'s order. The statistics are moved.
    """

    def __init__(self, compiled: CompiledTraining, values: flow.Tensor, gradient: flow.Tensor) -> None:
        super().__init__()
        self._parts = (compiled, values, gradient)

    def build(self, images: flow.Tensor, labels: flow.Tensor, counts: flow.Tensor) -> flow.Tensor:
        compiled, values, gradient = self._parts
        self._operator = compiled.step(tuple(images.shape), labels.shape[1])
        (parts,) = call(self._operator, [images, labels, counts], [((4,), flow.float32)], mutable=[values, gradient])
        return parts
