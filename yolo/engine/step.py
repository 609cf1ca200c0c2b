"""One training step: static graphs by shape, and the update that follows them."""

from __future__ import annotations

import logging

import numpy as np
import oneflow as flow

from graphs.base import synchronise
from graphs.parameters import ParameterVector
from graphs.train import CompiledTrainGraph, TrainGraph
from graphs.update import CompiledUpdateGraph, OptimizerState, Rates, UpdateGraph
from yolo.data.batch import Batch, pad_labels
from yolo.errors import ConfigError
from yolo.loss import LossSettings
from yolo.models.weights.transfer import state_to_numpy
from yolo.program.gradients import CompiledTraining
from yolo.program.lower import UnsupportedLayerError

LABEL_PLACES = 32

logger = logging.getLogger("yolo")


class TrainStep:
    """The graphs that train one network.

    A training graph is compiled for each shape of batch (pictures, and places for labels). Places grow when a batch
    brings more labels than any before it; nothing is cut. A step is one compiled operator, or with ``compile`` "off",
    on a GPU, and for networks with a layer that has no training program, plain OneFlow modules. While it is compiled
    the weights live in a vector, and the network's own tensors are left as they were.
    """

    def __init__(
        self,
        network: flow.nn.Module,
        settings: LossSettings,
        *,
        optimizer: str,
        weight_decay: float,
        label_places: int = LABEL_PLACES,
        compile: str = "program",
        amp: bool = False,
    ) -> None:
        """``amp``: bfloat16 products, float32 weights and gradients. Raises ConfigError where that cannot be."""
        self.network, self.settings = network.train(), settings
        self.vector = ParameterVector(network)
        self.state = OptimizerState.of(self.vector, optimizer)
        self._places = _rounded(label_places)
        self._graphs: dict[tuple[int, ...], TrainGraph | CompiledTrainGraph] = {}
        self._compiled = None if compile == "off" else self._compile("bf16" if amp else "fp32")
        if amp and self._compiled is None:
            raise ConfigError("bfloat16 needs a compiled training step", where="--amp", mend="leave it out")
        if self._compiled is None:
            self._update = UpdateGraph(network, self.vector, self.state, optimizer, weight_decay)
        else:
            self._values = flow.tensor(self.vector.gather())
            self._update = CompiledUpdateGraph(self.vector, self._values, self.state, optimizer, weight_decay)

    def _compile(self, precision: str) -> CompiledTraining | None:
        if self.vector.device.type != "cpu":
            return None
        network, slots = self.network, self.vector.parameters + self.vector.statistics
        offsets = {slot.name: slot.start for slot in slots}
        try:
            head = (network.anchors, network.strides, self.settings)
            return CompiledTraining(network.spec, offsets, *head, precision=precision)
        except ValueError as error:
            raise ConfigError(str(error), where="--amp", mend="leave it out") from error
        except UnsupportedLayerError as error:
            logger.info("%s; so does the whole training step", error)
            return None

    def _train_graph(self) -> TrainGraph | CompiledTrainGraph:
        if self._compiled is None:
            return TrainGraph(self.network, self.vector, self.state.gradient, self.settings)
        return CompiledTrainGraph(self._compiled, self._values, self.state.gradient)

    def backward(self, batch: Batch) -> np.ndarray:
        """Add the batch's gradient; give float32 [4]: loss, box, obj, cls."""
        self._places = max(self._places, _rounded(max(len(rows) for rows in batch.labels)))
        labels, counts = pad_labels(batch.labels, self._places)
        key = (*batch.images.shape, self._places)
        if key not in self._graphs:
            self._graphs[key] = self._train_graph()
        graph = self._graphs[key]
        first = graph.compile_seconds is None
        device = self.state.gradient.device
        parts = graph(*(flow.tensor(array, device=device) for array in (batch.images, labels, counts)))
        if first:
            size = "x".join(map(str, batch.images.shape))
            logger.info(
                "compiled the training graph for %s in %.1f s", f"{size}, {self._places} labels", graph.compile_seconds
            )
        return parts.numpy()

    def update(self, rates: Rates) -> float:
        """Move weights and EMA by the accumulated gradient and empty it; give the gradient's norm before clipping."""
        first = self._update.compile_seconds is None
        norm = float(self._update(rates.tensor().to(self.state.gradient.device)).numpy()[0])
        if first:
            logger.info("compiled the update graph in %.1f s", self._update.compile_seconds)
        return norm

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""
        graphs = [*self._graphs.values(), self._update]
        return sum(graph.compile_seconds or 0.0 for graph in graphs)

    def weights(self) -> dict[str, np.ndarray]:
        """The network's state by name, as trained so far."""
        synchronise()
        state = state_to_numpy(self.network)
        return state if self._compiled is None else state | self.vector.split(self._values.numpy())

    def ema(self) -> dict[str, np.ndarray]:
        """The network's state with the moving average of its parameters and statistics."""
        return self.weights() | self.vector.split(self.state.ema.numpy())

    def training_state(self) -> dict[str, np.ndarray]:
        """What a resumed run needs besides the EMA: ``weights/…``, ``gradient``, ``first`` and ``second``."""
        state = {f"weights/{name}": array for name, array in self.weights().items()}
        for name in ("gradient", "first", "second"):
            state[name] = getattr(self.state, name).numpy().copy()
        return state


def _rounded(count: int) -> int:
    """A number of places for labels: the smallest power of two, from 8, that holds ``count``."""
    return max(8, 1 << (max(count, 1) - 1).bit_length())
