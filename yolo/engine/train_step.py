"""One training step: static graphs by shape, and the update that follows them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

import numpy as np
import oneflow as flow

from graphs.base import synchronise
from graphs.parameters import ParameterVector
from graphs.ranked import RankedTrainGraph, RankedUpdateGraph
from graphs.ranked_modules import RankedModuleTrainGraph, RankedModuleUpdateGraph
from graphs.train import CompiledTrainGraph, TrainGraph
from graphs.update import CompiledUpdateGraph, OptimizerState, Rates, UpdateGraph
from yolo.data.batch import Batch, pad_labels
from yolo.distributed.global_tensors import GlobalTensors
from yolo.distributed.tensors import local
from yolo.errors import ConfigError, WeightsError
from yolo.loss.settings import LossSettings
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.transfer import load_state, state_to_numpy
from yolo.program.gradients import CompiledTraining

MAX_LABELS = 32
WEIGHTS = "weights/"
VECTORS = ("gradient", "first", "second")

logger = logging.getLogger("yolo")


class TrainStep:
    """The graphs that train one network.

    A training graph is compiled for each shape of batch (pictures, and room for labels). The room grows when a batch
    brings more labels than any before it; nothing is cut. A step is one compiled operator; with ``compile`` "off" and
    on a GPU it is plain OneFlow modules. While it is compiled the weights live in a vector, and the network's own
    tensors are left as they were.

    With ``global_tensors`` a batch is this rank's part of one that all ranks share, no batch of any rank has more
    labels a picture than ``max_labels``, and all ranks call all methods in the same order.
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
        recompute: bool = False,
        global_tensors: GlobalTensors | None = None,
        sync_bn: bool = False,
        threads: int = 0,
        loss_factor: float = 1.0,
        shapes: Sequence[tuple[int, int, int, int]] = (),
    ) -> None:
        """``amp``: bfloat16 products, float32 weights and gradients. ``frozen``: layers whose parameters do not move.
        ``recompute``: less memory, more time. ``sync_bn``: batch norms over all ranks' pictures. ``threads`` of 0
        takes one for each core. ``loss_factor``: what the loss is multiplied by, but for its parts as ``backward``
        gives them. ``shapes``: all shapes of pictures that will come, largest first, where they are known. Raises
        ConfigError where that cannot be."""
        self.network, self.settings, self.global_tensors = network.train(), settings.times(loss_factor), global_tensors
        self._factor = loss_factor
        self.vector = ParameterVector(network, frozen)
        self._exchange = global_tensors.group.exchange if global_tensors is not None and sync_bn else None
        self._device = self.vector.device
        self._threads = threads
        self._max_labels = _rounded(max_labels)
        self.computed = 0.0
        """Seconds that this rank's compiled operator took in the last ``backward`` or ``update``."""
        self._graphs: dict[tuple[int, ...], TrainGraph | CompiledTrainGraph] = {}
        self._compiled = None if compile == "off" else self._compile("bf16" if amp else "fp32", recompute)
        if recompute and self._compiled is None:
            raise ConfigError("only a compiled training step recomputes", where="--recompute", hint="leave it out")
        if amp and self._compiled is None:
            raise ConfigError("bfloat16 needs a compiled training step", where="--amp", hint="leave it out")
        # A compiled step leaves the gradients of frozen parameters somewhere too.
        room = sum(slot.size for slot in self.vector.frozen) if self._compiled else 0
        self.state = self._shared(OptimizerState.of(self.vector, optimizer, room=room))
        if self._compiled is None:
            if global_tensors is not None:
                self.vector = ParameterVector(global_tensors.network(self.network, sync_bn=sync_bn), frozen)
            graph = UpdateGraph if global_tensors is None else RankedModuleUpdateGraph
            self._update = graph(self.network, self.vector, self.state, optimizer, weight_decay)
        else:
            self._values = self._whole(self.vector.gather())
            graph = CompiledUpdateGraph if global_tensors is None else RankedUpdateGraph
            self._update = graph(self.vector, self._values, self.state, optimizer, weight_decay)
        if len(shapes) > 1:
            self._expect(shapes)

    def _expect(self, shapes: Sequence[tuple[int, int, int, int]]) -> None:
        """Take the memory of the largest shape first, so that all others find room in it, and say what comes."""
        largest = "x".join(map(str, shapes[0]))
        if self._compiled is None:
            logger.warning("%d shapes of batches up to %s: each keeps memory of its own", len(shapes), largest)
            return
        taken = self._compiled.reserve(shapes[0]) / 2**30
        logger.info("%d shapes of batches, each compiled once, share the %.2f GB of %s", len(shapes), taken, largest)

    def _compile(self, precision: str, recompute: bool) -> CompiledTraining | None:
        if self._device.type != "cpu":
            return None
        network, offsets = self.network, {slot.name: slot.start for slot in self.vector.slots}
        try:
            head = (network.anchors, network.strides, self.settings)
            frozen = [slot.name for slot in self.vector.frozen]
            options = {"precision": precision, "recompute": recompute, "threads": self._threads, "frozen": frozen}
            return CompiledTraining(network.spec, offsets, *head, **options, exchange=self._exchange)
        except ValueError as error:
            hint = "leave --amp out" if precision == "bf16" else "--compile off trains with OneFlow's operators"
            raise ConfigError(str(error), hint=hint) from error

    def _train_graph(self) -> TrainGraph | CompiledTrainGraph:
        if self._compiled is None:
            graph = TrainGraph if self.global_tensors is None else RankedModuleTrainGraph
            return graph(self.network, self.vector, self.state.gradient, self.settings)
        graph = CompiledTrainGraph if self.global_tensors is None else RankedTrainGraph
        return graph(self._compiled, self._values, self.state.gradient)

    def _whole(self, array: np.ndarray) -> flow.Tensor:
        return flow.tensor(array) if self.global_tensors is None else self.global_tensors.replicated(array)

    def _shared(self, state: OptimizerState) -> OptimizerState:
        """The state on all ranks: the gradient as summands, the rest whole."""
        if self.global_tensors is None:
            return state
        whole = {name: self._whole(getattr(state, name).numpy()) for name in ("first", "second", "ema")}
        return OptimizerState(gradient=self.global_tensors.partial_sum(state.gradient.numpy()), **whole)

    def _input(self, array: np.ndarray) -> flow.Tensor:
        if self.global_tensors is not None:
            return self.global_tensors.split(array)
        return flow.tensor(array, device=self._device)

    def backward(self, batch: Batch) -> np.ndarray:
        """Add the batch's gradient; give float32 [4]: loss, box, obj, cls."""
        self._max_labels = max(self._max_labels, _rounded(max(len(rows) for rows in batch.labels)))
        labels, counts = pad_labels(batch.labels, self._max_labels)
        key = (*batch.images.shape, self._max_labels)
        if key not in self._graphs:
            self._graphs[key] = self._train_graph()
        graph = self._graphs[key]
        first = graph.compile_seconds is None
        parts = graph(*map(self._input, (batch.images, labels, counts)))
        if first:
            size = "x".join(map(str, batch.images.shape))
            logger.info(
                "compiled the training graph for %s in %.1f s",
                f"{size}, up to {self._max_labels} labels",
                graph.compile_seconds,
            )
        values = local(parts).numpy()
        values[1:] /= self._factor
        self.computed = graph.computed
        return values

    def update(self, rates: Rates) -> float:
        """Move weights and EMA by the accumulated gradient and empty it; give the gradient's norm before clipping."""
        first = self._update.compile_seconds is None
        norm = float(local(self._update(self._rates(rates))).numpy()[0])
        self.computed = self._update.computed
        if first:
            logger.info("compiled the update graph in %.1f s", self._update.compile_seconds)
        return norm

    def drop_gradient(self) -> None:
        """Empty the accumulated gradient without an update."""
        synchronise()
        self._write(self.state.gradient, np.zeros(tuple(local(self.state.gradient).shape), np.float32))
        synchronise()

    def _rates(self, rates: Rates) -> flow.Tensor:
        tensor = rates.tensor()
        return (
            tensor.to(self._device) if self.global_tensors is None else self.global_tensors.replicated(tensor.numpy())
        )

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""
        graphs = [*self._graphs.values(), self._update]
        return sum(graph.compile_seconds or 0.0 for graph in graphs)

    def weights(self) -> dict[str, np.ndarray]:
        """The network's state by name, as trained so far."""
        synchronise()
        state = state_to_numpy(self.network)
        return state if self._compiled is None else state | self.vector.split(local(self._values).numpy())

    def ema(self) -> dict[str, np.ndarray]:
        """The network's state with the moving average of its parameters and statistics."""
        weights = self.weights()
        still = {slot.name: weights[slot.name] for slot in self.vector.frozen}  # an average would round them
        return weights | self.vector.split(local(self.state.ema).numpy()) | still

    def training_state(self) -> dict[str, np.ndarray]:
        """What a resumed run needs besides the EMA: ``weights/…``, ``gradient``, ``first``, ``second``, ``places``.

        Of several ranks it is the first rank's that counts.
        """
        self._settle()
        state = {f"{WEIGHTS}{name}": array for name, array in self.weights().items()}
        for name in VECTORS:
            state[name] = local(getattr(self.state, name)).numpy()[: self.vector.parameter_size].copy()
        return {**state, "places": np.array([self._max_labels])}

    def load(self, checkpoint: Checkpoint) -> None:
        """Take back ``ema`` as the checkpoint's model and ``training_state``; raises WeightsError for another's."""
        held = checkpoint.training or {}
        weights = {name.removeprefix(WEIGHTS): array for name, array in held.items() if name.startswith(WEIGHTS)}
        load_state(self.network, weights)
        vectors = {name: held.get(name, np.empty(0)) for name in VECTORS}
        room = self.state.gradient.shape[0] - self.vector.parameter_size
        share = 1 if self.global_tensors is None or self.global_tensors.ranks.first else 0
        vectors["gradient"] = np.pad(share * vectors["gradient"], (0, room))
        vectors["ema"] = self.vector.join(checkpoint.model, self.vector.size)
        for name, array in vectors.items():
            self._fill(getattr(self.state, name), array, name)
        if self._compiled is not None:
            self._fill(self._values, self.vector.join(weights, self.vector.size), "weights")
        self._max_labels = int(held["places"][0]) if "places" in held else self._max_labels
        synchronise()

    def _fill(self, tensor: flow.Tensor, array: np.ndarray, name: str) -> None:
        if array.shape != tuple(tensor.shape):
            raise WeightsError(f"{name} of {array.size} numbers, where training needs {tensor.shape[0]}")
        self._write(tensor, array)

    def _write(self, tensor: flow.Tensor, array: np.ndarray) -> None:
        """Give what this rank has of a tensor the array's values."""
        own = local(tensor)
        own.copy_(flow.tensor(array.astype(np.float32), device=own.device))

    def _settle(self) -> None:
        """Give the first rank all of the gradient, and every rank the mean of the ranks' statistics.

        A run that goes on from here and one that is resumed from here, with any number of ranks, add up alike.
        """
        if self.global_tensors is None:
            return
        synchronise()
        total = self.global_tensors.total(self.state.gradient)
        self._write(self.state.gradient, total if self.global_tensors.ranks.first else np.zeros_like(total))
        values = self.vector.gather() if self._compiled is None else local(self._values).numpy()
        size = self.vector.size - sum(slot.size for slot in self.vector.statistics)
        means = self.global_tensors.total(
            self.global_tensors.partial_sum(values[size:] / self.global_tensors.ranks.count)
        )
        if self._compiled is not None:
            values[size:] = means  # in the tensor's own memory
            return
        for slot in self.vector.statistics:
            self._write(slot.tensor, means[slot.start - size : slot.stop - size].reshape(tuple(slot.tensor.shape)))


def _rounded(count: int) -> int:
    """Room for labels: the smallest power of two, from 8, that holds ``count``."""
    return max(8, 1 << (max(count, 1) - 1).bit_length())
