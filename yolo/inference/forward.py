"""A network run on batches of any shape, through static graphs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import oneflow as flow

from graphs.base import StaticGraph
from graphs.detect import CompiledDetection, DetectGraph
from graphs.pool import EagerRuns, GraphPool
from graphs.validate import CompiledValGraph, ValGraph
from yolo import native
from yolo.data.batch import pad_labels
from yolo.errors import ConfigError
from yolo.loss.settings import LossSettings
from yolo.models.network import Network
from yolo.models.spec import NetworkSpec
from yolo.models.weights.transfer import state_to_numpy
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings
from yolo.program.detector import CompiledDetector
from yolo.program.int8.build import quantise
from yolo.program.lower import lower
from yolo.program.passes import optimise
from yolo.program.target import unsupported
from yolo.runtime import require_own_process

logger = logging.getLogger("yolo")

# A graph's memory grows with its pictures while the CPU gains nothing from more of them, except where pictures are so
# small that starting an operator costs more than its work. So: one large picture, or many small ones.
PIXELS_A_GRAPH = 640 * 640

Detections = tuple[np.ndarray, np.ndarray]


def compile_network(
    network: Network,
    device: str = "cpu",
    *,
    mode: str = "program",
    precision: str = "fp32",
    calibration: Sequence[np.ndarray] = (),
) -> CompiledNetwork | None:
    """The compiled programs of ``network``, or None where it runs as plain OneFlow modules.

    That is so with ``mode`` "off" and on a device for which nothing is compiled. int8 needs ``calibration``: pictures,
    uint8 ``[3, H, W]`` each; what it costs is said. Raises ConfigError for a precision that is not to be had there.
    """
    if mode == "off" or unsupported(device) is not None:
        if precision != "fp32":
            raise ConfigError(f"{precision} needs a compiled program", where="--compile", hint="leave it at program")
        return None
    if (reason := unsupported(device, precision)) is not None:
        raise ConfigError(reason, where="--half", hint="leave it out")
    with StaticGraph.turns.turn():
        state = state_to_numpy(network)
    if precision == "int8":
        return _calibrated(network.spec, state, calibration)
    return CompiledNetwork.of(network.spec, state, precision=precision)


def _calibrated(spec: NetworkSpec, state: dict[str, np.ndarray], pictures: Sequence[np.ndarray]) -> CompiledNetwork:
    """The network in int8; says what that costs."""
    try:
        graph = optimise(lower(spec, state), "int8")
        graph, cost = quantise(graph, pictures)
    except ValueError as error:
        raise ConfigError(str(error), where="--int8", hint="leave it out") from error
    logger.info("%s", cost)
    return CompiledNetwork(graph, precision="int8")


class Forward:
    """Runs a network in evaluation mode, with non-maximum suppression, in static graphs.

    Threads may share it or have one each: in OneFlow their calls go one after the other.
    """

    def __init__(
        self,
        network: Network,
        settings: NmsSettings,
        device: str = "cpu",
        compiled: CompiledNetwork | None = None,
        loss: LossSettings | None = None,
        *,
        alone: bool = True,
    ) -> None:
        """``compiled``: the same network's programs, to be run instead of its modules; ``loss``: for ``validate``.

        Not ``alone``, as one of several ranks, it runs its operators without graphs.
        """
        require_own_process()
        with StaticGraph.turns.turn():
            self.network, self.device, self.loss = network.to(device).eval(), device, loss
        self.compiled, self._watch = compiled, native.Stopwatch()
        self._detect = self._detection(settings, graphs=alone)
        self._validate = (GraphPool if alone else EagerRuns)(lambda: self._validate_graph(settings))

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""
        return self._detect.compile_seconds + self._validate.compile_seconds

    @property
    def nms_seconds(self) -> float:
        """Seconds spent in decoding and suppression so far; they are part of a call's time."""
        return self._watch.milliseconds / 1000

    def load(self, state: dict[str, np.ndarray]) -> None:
        """Take over weights that were loaded into the network, for the programs too."""
        if self.compiled is not None:
            self.compiled.update(self.network.spec, state)

    def detect(self, images: np.ndarray) -> Detections:
        """images uint8 [B, 3, H, W] -> detections float32 [B, max_det, 6] (pixels of the input), counts int32 [B]."""
        require_own_process()
        with StaticGraph.turns.turn():
            found = [self._detect(part) for (part,) in _parts(images)]
        return np.concatenate([rows for rows, _ in found]), np.concatenate([counts for _, counts in found])

    def validate(
        self, images: np.ndarray, labels: tuple[np.ndarray, ...], max_labels: int
    ) -> tuple[Detections, np.ndarray]:
        """images and label rows a picture -> detections as ``detect`` gives them, loss sums float64 [levels, 5]."""
        require_own_process()
        with StaticGraph.turns.turn():
            parts = _parts(images, *pad_labels(labels, max_labels))
            outputs = [self._validate(*(flow.tensor(array, device=self.device) for array in part)) for part in parts]
            rows, counts, terms = ([output.numpy() for output in kind] for kind in zip(*outputs))
        found = np.concatenate(rows), np.concatenate(counts)
        return found, np.sum([part.astype(np.float64) for part in terms], axis=0)

    def _detection(self, settings: NmsSettings, *, graphs: bool) -> CompiledDetection | _PlainDetection:
        network = self.network
        if self.compiled is None:
            pool = GraphPool if graphs else EagerRuns
            return _PlainDetection(pool(lambda: DetectGraph(network, settings, self._watch)), self.device)
        detector = CompiledDetector(self.compiled, network.anchors, network.strides, settings, self._watch)
        return CompiledDetection(detector, graphs=graphs)

    def _validate_graph(self, settings: NmsSettings) -> ValGraph | CompiledValGraph:
        network = self.network
        if self.compiled is None:
            return ValGraph(network, self.loss, settings, self._watch)
        return CompiledValGraph(self.compiled, network.anchors, network.strides, self.loss, settings, self._watch)


class _PlainDetection:
    """What ``CompiledDetection`` does, with the network's modules."""

    def __init__(self, runs: GraphPool | EagerRuns, device: str) -> None:
        self._runs, self._device = runs, device

    @property
    def compile_seconds(self) -> float:
        return self._runs.compile_seconds

    def __call__(self, images: np.ndarray) -> Detections:
        rows, counts = self._runs(flow.tensor(images, device=self._device))
        return rows.numpy(), counts.numpy()


def _parts(*arrays: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Cut arrays along the batch, images first, into parts of as many images as one graph takes."""
    images = arrays[0]
    count = max(1, PIXELS_A_GRAPH // (images.shape[2] * images.shape[3]))
    for start in range(0, len(images), count):
        yield [array[start : start + count] for array in arrays]
