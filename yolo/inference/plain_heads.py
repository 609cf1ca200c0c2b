"""A network's raw heads by plain OneFlow modules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import oneflow as flow

from graphs.base import StaticGraph
from graphs.heads import HeadsGraph
from graphs.pool import EagerRuns, GraphPool
from yolo.models.network import Network
from yolo.runtime import require_own_process


class PlainHeads:
    """``RawHeadRunner`` of a network that is not compiled: a graph a shape of input, none on one of several ranks."""

    def __init__(self, network: Network, device: str = "cpu", *, alone: bool = True) -> None:
        require_own_process()
        with StaticGraph.turns.turn():
            network = network.to(device).eval()
        pool = GraphPool if alone else EagerRuns
        self._device, self._pool = device, pool(lambda: HeadsGraph(network))
        self.anchors, self.strides = network.anchors, tuple(network.strides)

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""
        return self._pool.compile_seconds

    def __call__(self, images: np.ndarray) -> Sequence[np.ndarray]:
        """uint8 ``[B, C, H, W]`` -> float32 ``[B, na * (5 + nc), h, w]`` a level."""
        require_own_process()
        with StaticGraph.turns.turn():
            return [head.numpy() for head in self._pool(flow.tensor(images, device=self._device))]
