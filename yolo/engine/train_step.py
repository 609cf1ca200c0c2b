"""One training step: static graphs by shape, and the update that follows them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import oneflow as flow

from graphs.base import StaticGraph
from graphs.train import CompiledTrainGraph, DeviceTrainGraph, TrainGraph
from graphs.train_state import TrainState
from graphs.update import CompiledUpdateGraph, DeviceUpdateGraph, Rates, UpdateGraph
from yolo.data.batch import Batch, pad_labels
from yolo.distributed.process_group import LONE, ProcessGroup
from yolo.distributed.tensors import local
from yolo.errors import ConfigError
from yolo.inference.precision import short_precision
from yolo.loss.settings import LossSettings
from yolo.program.backends.choice import backend_of
from yolo.program.gradients import CompiledTraining
from yolo.program.target import unsupported

MAX_LABELS = 32
_CONNECT_SECONDS = 180.0
"""How long the ranks' GPUs may take to find each other."""
logger = logging.getLogger("yolo")


class TrainStep:
    """The graphs that train one network; ``state`` is what they move.

    A training graph is compiled for each shape of batch (images, and room for labels). The room grows when a batch
    brings more labels than any before it; nothing is cut. A step is one compiled operator; with ``compile`` "off" and
    on a GPU that no program runs on it is plain OneFlow modules. While it is compiled the weights live in a vector, and
    the network's own tensors are left as they were.

    As one of several ranks of ``group`` a batch is this rank's part of one that all share, no batch of any rank has
    more labels an image than ``max_labels``, and all ranks call all methods in the same order.
    """

    def __init__(
        self,
        network: flow.nn.Module,
        settings: LossSettings,
        *,
        optimizer: str,
        weight_decay: float,
        max_labels: int = MAX_LABELS,
        compile: str = "program",
        amp: bool = False,
        frozen: Collection[int] = (),
        recompute: bool | None = None,
        exact: bool = False,
        group: ProcessGroup = LONE,
        sync_bn: bool = False,
        loss_factor: float = 1.0,
        shapes: Sequence[tuple[int, int, int, int]] = (),
        device: str = "",
    ) -> None:
        """``device``: "cpu" or "cuda:N", default: where the network is; that of a compiled step is on the CPU.
        ``amp``: products in bfloat16, on a GPU in float16; float32 weights and gradients. ``frozen``: layers whose
        parameters do not move. ``recompute``: less memory for some time, the same numbers; None: on a CPU. ``exact``:
        on a CPU convolutions are computed as they are defined, not by Winograd's algorithm. ``sync_bn``: batch norms
        over all ranks' images. ``loss_factor``: what the loss is multiplied by, but for its parts as ``backward`` gives
        them. ``shapes``: all shapes of images that will come, largest first, where they are known. Raises ConfigError
        where that cannot be.
        """
        self._settings, self._factor = settings.times(loss_factor), loss_factor
        self.computed = 0.0
        """Seconds that this rank's compiled operator took in the last ``backward`` or ``update``."""
        self.left_out = False
        """Whether the last ``update`` moved no weights."""
        self._graphs: dict[tuple[int, ...], StaticGraph] = {}
        device = device or _device_of(network)
        compiles = compile != "off" and unsupported(device) is None
        if recompute and not compiles:
            raise ConfigError(
                "activation checkpointing needs a compiled training step", where="--recompute", hint="leave it out"
            )
        if amp and not compiles:
            raise ConfigError("mixed precision needs a compiled training step", where="--amp", hint="leave it out")
        shared = {"frozen": frozen, "ranks": group.ranks, "sync_bn": sync_bn, "max_labels": _rounded(max_labels)}
        precision = short_precision(device) if amp else "fp32"
        vectors = None
        if compiles and device != "cpu":
            vectors = functools.partial(backend_of(device).vectors, scaled=precision == "fp16")
        self.state = TrainState(network.train(), optimizer, in_vector=compiles, device=vectors, **shared)
        self._compiled = self._devices = None
        if compiles:
            self._devices = _group_of_devices(device, group)
            recompute = device == "cpu" if recompute is None else recompute
            options = {"precision": precision, "recompute": recompute, "exact": exact, "device": device}
            self._compiled = self._compile(**options, group=self._devices if sync_bn else None)
        self._uploads = self._compiled and self._compiled.backend.uploads()
        self._update = self._update_graph(optimizer, weight_decay)
        if len(shapes) > 1:
            self._expect(shapes)

    def _expect(self, shapes: Sequence[tuple[int, int, int, int]]) -> None:
        """Take the memory of the largest shape first, so that all others find room in it, and say what comes."""
        largest = "x".join(map(str, shapes[0]))
        if self._compiled is None:
            logger.warning("%d shapes of batches up to %s: each keeps memory of its own", len(shapes), largest)
            return
        taken = self._compiled.reserve(shapes[0], self.state.on_device) / 2**30
        logger.info("%d shapes of batches, each compiled once, share the %.2f GB of %s", len(shapes), taken, largest)

    def _compile(self, **options: Any) -> CompiledTraining:
        network, vector = self.state.network, self.state.vector
        offsets, frozen = {slot.name: slot.start for slot in vector.slots}, [slot.name for slot in vector.frozen]
        head = (network.anchors, network.strides, self._settings)
        try:
            return CompiledTraining(network.spec, offsets, *head, frozen=frozen, **options)
        except ValueError as error:
            amp = options["precision"] != "fp32"
            hint = "leave --amp out" if amp else "--compile off trains with OneFlow's operators"
            raise ConfigError(str(error), hint=hint) from error

    def _update_graph(self, optimizer: str, weight_decay: float) -> StaticGraph:
        state, compiled = self.state, self._compiled
        if compiled is None:
            return UpdateGraph(state, optimizer, weight_decay)
        if state.on_device is None:
            return CompiledUpdateGraph(state, optimizer, weight_decay)
        vector = state.vector
        sizes = (vector.group_sizes, vector.size - vector.parameter_size)
        joined = {"group": self._devices, "frozen": sum(slot.size for slot in vector.frozen)}
        update = compiled.backend.update_step(optimizer, *sizes, weight_decay, state.on_device, **joined)
        return DeviceUpdateGraph(update)

    def _train_graph(self, shape: tuple[int, int, int, int]) -> StaticGraph:
        state, compiled = self.state, self._compiled
        if compiled is None:
            return TrainGraph(state, self._settings)
        if state.on_device is None:
            return CompiledTrainGraph(compiled, state)
        return DeviceTrainGraph(compiled, state, shape, state.max_labels)

    @property
    def upload(self) -> Callable[[np.ndarray], Any] | None:
        """Brings a batch's images to where the step runs, ahead of it; None where they are there. For any thread."""
        return self._uploads

    def backward(self, batch: Batch) -> np.ndarray:
        """Add the batch's gradient; give float32 [4]: loss, box, obj, cls."""
        state = self.state
        state.max_labels = max(state.max_labels, _rounded(max(len(rows) for rows in batch.labels)))
        labels, counts = pad_labels(batch.labels, state.max_labels)
        key = (*batch.images.shape, state.max_labels)
        if key not in self._graphs:
            self._graphs[key] = self._train_graph(batch.images.shape)
        graph = self._graphs[key]
        first = graph.compile_seconds is None
        parts = self._run(graph, batch, labels, counts)
        if first:
            size = "x".join(map(str, batch.images.shape))
            logger.info(
                "compiled the training graph for %s in %.1f s",
                f"{size}, up to {state.max_labels} labels",
                graph.compile_seconds,
            )
        parts[1:] /= self._factor
        self.computed = graph.computed
        return parts

    def _run(self, graph: StaticGraph, batch: Batch, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
        split = self.state.tensors.split
        if self._uploads is None:
            return local(graph(*map(split, (batch.images, labels, counts)))).numpy()
        images = batch.uploaded or self._uploads(batch.images)
        graph.take(images)
        parts = local(graph(split(labels), split(counts))).numpy()
        self._uploads.give_back(images)
        return parts

    def update(self, rates: Rates) -> float:
        """Move weights and EMA by the accumulated gradient and empty it; give the gradient's norm before clipping.

        Where float16's gradient overflowed, weights stay, which ``left_out`` says, and the loss scale is halved.
        """
        first = self._update.compile_seconds is None
        norm = float(local(self._update(self.state.tensors.replicated(rates.array()))).numpy()[0])
        self.computed = self._update.computed
        if first:
            logger.info("compiled the update graph in %.1f s", self._update.compile_seconds)
        self.left_out = self._overflowed(norm)
        return norm

    def _overflowed(self, norm: float) -> bool:
        """Whether an update was left out as float16's loss scale was too large; not where no scale would do."""
        device = self.state.on_device
        if np.isfinite(norm) or device is None or not device.scaled:
            return False
        scale, _ = device.loss_scale
        logger.info("the gradient overflowed float16: an update is left out; the loss is scaled by %g now", scale)
        return scale >= 1

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""
        graphs = [*self._graphs.values(), self._update]
        return sum(graph.compile_seconds or 0.0 for graph in graphs)


def _device_of(network: flow.nn.Module) -> str:
    device = next(network.parameters()).device
    return "cpu" if device.type == "cpu" else f"{device.type}:{device.index}"


def _group_of_devices(device: str, group: ProcessGroup) -> Any:
    """What the ranks' devices add up by; None for a lone rank."""
    if group.exchange is None:
        return None
    reason = (
        f"NCCL has not connected the ranks' GPUs within {_CONNECT_SECONDS:.0f} s; let no firewall stand between them, "
        "and say by NCCL_SOCKET_IFNAME which network they share"
    )
    with group.within(_CONNECT_SECONDS, reason):
        return backend_of(device).group(group.exchange)


def _rounded(count: int) -> int:
    """Room for labels: the smallest power of two, from 8, that holds ``count``."""
    return max(8, 1 << (max(count, 1) - 1).bit_length())
