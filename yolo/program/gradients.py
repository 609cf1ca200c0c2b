"""Training steps of a network as compiled programs: forward, loss and backward as one operator."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

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
    in pixels; settings: a ``LossSettings``; recompute: less memory, more time, the same numbers; exchange:
    joins batch norms over ranks. All steps share one memory: they run one after the other.
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
        recompute: bool = False,
        threads: int = 0,
        exchange: native.Exchange | None = None,
        frozen: Collection[str] = (),
    ) -> None:
        """``frozen``: names of parameters that do not learn. Raises ValueError for what cannot be planned."""
        self._graph = lower(spec, {})
        self._offsets = dict(offsets)
        self._options = {"threads": threads, "precision": precision, "recompute": recompute}
        self._options |= {"exchange": exchange, "frozen": frozenset(frozen)}
        self._head = (anchors, tuple(strides), settings)
        self._memory = native.TrainingMemory()
        side = 2 * max(strides)
        self.levels = len(strides)
        self._passes((1, spec.channels, side, side))  # what cannot be planned is refused here, not in a graph

    def step(self, shape: Shape, max_labels: int, ranks: int = 1) -> native.GradientStep:
        """The step for images uint8 of this shape, a rank's part of a batch, with room for so many labels a picture."""
        passes = self._passes(shape)
        loss = detection_loss(passes.head_shapes, *self._head)
        return native.GradientStep(passes.executor, loss, max_labels, ranks)

    def match_count(self, shape: Shape, max_labels: int) -> native.MatchCount:
        """Counts the matches a level of a rank's labels, which ``step`` takes summed over the ranks."""
        sizes = self._graph.sizes(*shape[2:])
        heads = [(shape[0], self._graph.channels[value], *sizes[value]) for value in self._graph.outputs]
        return native.MatchCount(detection_loss(heads, *self._head), shape[0], max_labels)

    def reserve(self, shape: Shape) -> int:
        """Take the memory that steps of this shape need, so that smaller ones fit in; give all that is taken, bytes."""
        self.step(shape, 1)
        return self._memory.bytes

    def _passes(self, shape: Shape):
        return build_training_program(self._graph, shape, self._offsets, **self._options, memory=self._memory)
