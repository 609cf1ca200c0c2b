"""What needs OneFlow beside the compiled detector: networks as plain modules, and validation with its losses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import oneflow as flow

from graphs.base import StaticGraph
from graphs.detect import DetectGraph, HeadsGraph
from graphs.pool import EagerRuns, GraphPool
from graphs.validate import CompiledValGraph, DeviceValGraph, ValGraph
from yolo.data.batch import pad_labels
from yolo.inference.runner import PIXELS_AT_ONCE, Detections, Part, Runner, in_parts
from yolo.loss.settings import LossSettings
from yolo.models.network import Network
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings
from yolo.runtime import require_own_process


class PlainRunner(Runner):
    """Runs a network of plain modules, in a graph a shape of input; not ``alone``, as one of several ranks, without."""

    def __init__(self, network: Network, settings: NmsSettings, device: str = "cpu", *, alone: bool = True) -> None:
        network, self._device = _placed(network, device), device
        self._pool = (GraphPool if alone else EagerRuns)(lambda: DetectGraph(network, settings))

    @property
    def compile_seconds(self) -> float:
        return self._pool.compile_seconds

    def _part(self, images: np.ndarray, known: Sequence[np.ndarray]) -> Part:
        require_own_process()
        with StaticGraph.turns.turn():
            rows, counts = (found.numpy() for found in self._pool(flow.tensor(images, device=self._device)))
            return rows, counts, self._pool.computed


class PlainHeads:
    """The raw heads of such a network (``RawHeadRunner``)."""

    def __init__(self, network: Network, device: str = "cpu", *, alone: bool = True) -> None:
        network = _placed(network, device)
        pool = GraphPool if alone else EagerRuns
        self._device, self._pool, self.pixels_at_once = device, pool(lambda: HeadsGraph(network)), PIXELS_AT_ONCE
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

    def lanes(self) -> list[PlainHeads]:
        """None: OneFlow runs one graph after the other."""
        return []


class ValRunner:
    """Runs a network in evaluation mode with suppression and loss, as a training validates."""

    pixels_at_once: int | None = PIXELS_AT_ONCE

    def __init__(
        self,
        network: Network,
        settings: NmsSettings,
        loss: LossSettings,
        device: str = "cpu",
        compiled: CompiledNetwork | None = None,
        *,
        alone: bool = True,
    ) -> None:
        """``device``: of the modules. ``compiled``: the same network's programs, to be run instead of them.

        Not ``alone``, as one of several ranks, it runs its operators without graphs.
        """
        self.network, self.loss, self._tensors = _placed(network, device), loss, device
        self.device = device if compiled is None else compiled.device
        """Where it computes."""
        self._settings, self._compiled = settings, compiled
        if compiled is not None:
            self.pixels_at_once = compiled.backend.pixels_at_once  # each shape's graph keeps the heads of so many
        self._pool = (GraphPool if alone else EagerRuns)(self._graph)

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""
        return self._pool.compile_seconds

    def load(self, state: dict[str, np.ndarray]) -> None:
        """Take over weights that were loaded into the network, for the programs too."""
        if self._compiled is not None:
            self._compiled.update(self.network.spec, state)

    def validate(
        self, images: np.ndarray, labels: tuple[np.ndarray, ...], max_labels: int
    ) -> tuple[Detections, np.ndarray]:
        """images and label rows an image -> detections as ``detect`` gives them, loss sums float64 [levels, 5]."""
        terms: list[np.ndarray] = []
        arrays = (images, *pad_labels(labels, max_labels))
        found = in_parts(self, images, lambda part: self._part([array[part] for array in arrays], terms))
        return found, np.sum([part.astype(np.float64) for part in terms], axis=0)

    def _part(self, arrays: list[np.ndarray], terms: list[np.ndarray]) -> Part:
        require_own_process()
        with StaticGraph.turns.turn():
            outputs = self._pool(*(flow.tensor(array, device=self._tensors) for array in arrays))
            rows, counts, sums = (output.numpy() for output in outputs)
            terms.append(sums)
            return rows, counts, self._pool.computed

    def _graph(self) -> ValGraph | CompiledValGraph | DeviceValGraph:
        network = self.network
        if self._compiled is None:
            return ValGraph(network, self.loss, self._settings)
        heads = (self._compiled, network.anchors, network.strides)
        graph = CompiledValGraph if self._compiled.target.device == "cpu" else DeviceValGraph
        return graph(*heads, self.loss, self._settings)


def _placed(network: Network, device: str) -> Network:
    """It on the device, in evaluation mode."""
    require_own_process()
    with StaticGraph.turns.turn():
        return network.to(device).eval()
