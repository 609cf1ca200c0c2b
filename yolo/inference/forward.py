"""A network run on batches of any shape, through static graphs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import oneflow as flow

from graphs.detect import CompiledDetectGraph, DetectGraph
from graphs.pool import EagerRuns, GraphPool
from graphs.validate import CompiledValGraph, ValGraph
from yolo.data.batch import pad_labels
from yolo.errors import ConfigError
from yolo.loss import LossSettings
from yolo.models.network import Network
from yolo.models.weights.transfer import state_to_numpy
from yolo.program._native import native
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings
from yolo.program.int8.build import quantise
from yolo.program.lower import lower
from yolo.program.passes import optimise
from yolo.runtime import OwnProcess

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
    threads: int = 0,
    calibration: Sequence[np.ndarray] = (),
) -> CompiledNetwork | None:
    """The compiled programs of ``network``, or None where it runs as plain OneFlow modules.

    That is so with ``mode`` "off" and on a GPU. int8 needs ``calibration``: pictures, uint8 ``[3, H, W]`` each; what it
    costs is said. Raises ConfigError for a precision that is not to be had there.
    """
    if mode == "off" or device != "cpu":
        if precision != "fp32":
            raise ConfigError(f"{precision} needs a compiled program", where="--compile", mend="leave it at program")
        return None
    if precision == "int8":
        return _calibrated(network, calibration, threads)
    compiled = CompiledNetwork.of(network.spec, state_to_numpy(network), precision=precision, threads=threads)
    if precision == "bf16" and not native.has_bfloat16():
        what = f"this processor has no bfloat16 instructions (it has {native.instruction_set()})"
        raise ConfigError(what, where="--half", mend="leave it out")
    return compiled


def _calibrated(network: Network, pictures: Sequence[np.ndarray], threads: int) -> CompiledNetwork:
    """The network in int8; says what that costs."""
    try:
        graph = optimise(lower(network.spec, state_to_numpy(network)), "int8")
        graph, cost = quantise(graph, pictures, threads=threads)
    except ValueError as error:
        raise ConfigError(str(error), where="--int8", mend="leave it out") from error
    logger.info("%s", cost)
    return CompiledNetwork(graph, precision="int8", threads=threads)


class Forward:
    """Runs a network in evaluation mode, with non-maximum suppression, in one graph a shape of input."""

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
        self.network, self.device, self.loss = network.to(device).eval(), device, loss
        self.compiled = compiled
        self._watch, self._process = native.Stopwatch(), OwnProcess()
        pool = GraphPool if alone else EagerRuns
        self._detect = pool(lambda: self._detect_graph(settings))
        self._validate = pool(lambda: self._validate_graph(settings))

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
        self._process.require()
        outputs = [self._detect(*part) for part in _parts(self.device, images)]
        return _joined(outputs, 0), _joined(outputs, 1)

    def validate(
        self, images: np.ndarray, labels: tuple[np.ndarray, ...], places: int
    ) -> tuple[Detections, np.ndarray]:
        """images and label rows a picture -> detections as ``detect`` gives them, loss sums float64 [levels, 5]."""
        outputs = [self._validate(*part) for part in _parts(self.device, images, *pad_labels(labels, places))]
        terms = np.sum([terms.numpy().astype(np.float64) for _, _, terms in outputs], axis=0)
        return (_joined(outputs, 0), _joined(outputs, 1)), terms

    def _detect_graph(self, settings: NmsSettings):
        network = self.network
        if self.compiled is None:
            return DetectGraph(network, settings, self._watch)
        return CompiledDetectGraph(self.compiled, network.anchors, network.strides, settings, self._watch)

    def _validate_graph(self, settings: NmsSettings):
        network = self.network
        if self.compiled is None:
            return ValGraph(network, self.loss, settings, self._watch)
        return CompiledValGraph(self.compiled, network.anchors, network.strides, self.loss, settings, self._watch)


def _joined(outputs: list[tuple[flow.Tensor, ...]], position: int) -> np.ndarray:
    return np.concatenate([output[position].numpy() for output in outputs])


def _parts(device: str, images: np.ndarray, *others: np.ndarray) -> Iterator[list[flow.Tensor]]:
    """Cut arrays along the batch into parts of as many pictures as one graph takes."""
    count = max(1, PIXELS_A_GRAPH // (images.shape[2] * images.shape[3]))
    for start in range(0, len(images), count):
        yield [flow.tensor(array[start : start + count], device=device) for array in (images, *others)]
