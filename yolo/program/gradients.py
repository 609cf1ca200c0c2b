"""Training steps of a network as compiled programs: forward, loss and backward as one operator."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from yolo import native
from yolo.loss.settings import LossSettings
from yolo.models.spec import NetworkSpec
from yolo.program.backends.choice import backend_of
from yolo.program.detection import detection_loss
from yolo.program.ir import Shape
from yolo.program.lower import lower
from yolo.program.target import Target
from yolo.program.training.program import plan_training


class CompiledTraining:
    """Makes the gradient steps of one network.

    offsets: tensor name -> its first element in the vector of parameters and statistics; anchors: float32 [nl, na, 2]
    in pixels; recompute: less memory, more time, the same numbers; exact: convolutions are computed as they are defined
    and not by Winograd's algorithm; group: the backend's, joins batch norms over ranks. All steps share one memory:
    they run one after the other.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        offsets: Mapping[str, int],
        anchors: np.ndarray,
        strides: Sequence[int],
        settings: LossSettings,
        *,
        precision: str = "fp32",
        recompute: bool = False,
        exact: bool = False,
        group: Any = None,
        frozen: Collection[str] = (),
        device: str = "cpu",
    ) -> None:
        """``frozen``: names of parameters that do not learn. Raises ValueError for what cannot be planned."""
        self._graph = lower(spec, {})
        self._offsets = dict(offsets)
        self._target, self.backend = Target.of(device, precision), backend_of(device)
        self._options, self._group = {"recompute": recompute, "exact": exact, "frozen": frozenset(frozen)}, group
        self._head = (anchors, tuple(strides), settings)
        self._memory = self.backend.memory()
        side = 2 * max(strides)
        self.levels = len(strides)
        self._executor((1, spec.channels, side, side))  # what cannot be planned is refused here, not in a graph

    def step(self, shape: Shape, max_labels: int, ranks: int = 1, vectors: Any = None) -> Any:
        """The step for images uint8 of this shape, a rank's part of a batch, with room for so many labels an image.

        ``vectors``: what it moves, where a device keeps that (``TrainState.on_device``).
        """
        executor = self._executor(shape)
        return self.backend.gradient_step(executor, self._loss(shape), max_labels, ranks, vectors)

    def match_count(self, shape: Shape, max_labels: int) -> native.MatchCount:
        """Counts the matches a level of a rank's labels, which ``step`` takes summed over the ranks."""
        return native.MatchCount(self._loss(shape), shape[0], max_labels)

    def reserve(self, shape: Shape, vectors: Any = None) -> int:
        """Take the memory that steps of this shape need, so that smaller ones fit in; give all that is taken, bytes."""
        self.step(shape, 1, vectors=vectors)
        return self._memory.bytes

    def _loss(self, shape: Shape) -> native.DetectionLoss:
        return detection_loss(self._graph.head_shapes(shape), *self._head)

    def _executor(self, shape: Shape) -> Any:
        plan = plan_training(self._graph, shape, self._offsets, self._target, **self._options)
        return self.backend.trainer(plan, self._memory, self._group)
