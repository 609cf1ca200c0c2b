"""Training steps of a network as compiled programs: forward, loss and backward as one operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from yolo.models.spec import NetworkSpec
from yolo.program._native import native
from yolo.program.loss import detection_loss
from yolo.program.lower import lower
from yolo.program.training.program import Shape, build_training_program

PRECISIONS = ("fp32", "bf16")


class CompiledTraining:
    """Makes the gradient steps of one network.

    offsets: tensor name -> its first element in the vector of parameters and statistics; anchors: float32 [nl, na, 2]
    in pixels; settings: a ``yolo.loss.LossSettings``.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        offsets: Mapping[str, int],
        anchors: np.ndarray,
        strides: Sequence[int],
        settings: object,
        *,
        precision: str = "fp32",
        threads: int = 0,
    ) -> None:
        """Raises UnsupportedLayerError for a layer that has no training program."""
        self._graph = lower(spec, {})
        self._offsets, self._threads, self._precision = dict(offsets), threads, precision
        self._head = (anchors, tuple(strides), settings)
        side = 2 * max(strides)
        self._passes((1, spec.channels, side, side))  # what cannot be planned is refused here, not in a graph

    def step(self, shape: Shape, places: int) -> native.GradientStep:
        """The step for images uint8 of this shape, with room for so many labels a picture."""
        passes = self._passes(shape)
        loss = detection_loss(passes.head_shapes, *self._head)
        return native.GradientStep(passes.executor, loss, places)

    def _passes(self, shape: Shape):
        return build_training_program(
            self._graph, shape, self._offsets, threads=self._threads, precision=self._precision
        )
