"""All that a training run moves: where it lies, how it becomes arrays, and how it comes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import numpy as np
import oneflow as flow

from graphs.base import synchronise
from graphs.parameters import ParameterVector
from yolo.distributed.global_tensors import GlobalTensors
from yolo.distributed.ranks import ALONE, Ranks
from yolo.distributed.tensors import arrays_of, local
from yolo.errors import WeightsError
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.transfer import load_state, state_to_numpy

WEIGHTS = "weights/"
VECTORS = ("gradient", "first", "second")


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Copies of a training run's state at one moment.

    weights, ema: the network's state by name, as trained so far and with the moving average of its parameters and
    statistics. training: what a resumed run needs besides the EMA: ``weights/…``, ``gradient``, ``first``, ``second``,
    ``places``.
    """

    weights: dict[str, np.ndarray]
    ema: dict[str, np.ndarray]
    training: dict[str, np.ndarray]


class TrainState:
    """Values, gradient and moments of one network; ``vector`` is their order.

    The graphs write them in place: gradient, first, second: float32 [parameter_size] (accumulated gradient; momentum or
    first moment; second moment, one element with SGD), ema: float32 [size]. values: float32 [size], the place of the
    network's own tensors, which are left as they were; None where these are trained. ``max_labels``: the room for
    labels of an image that the run has come to need.

    Of several ranks each has all values and moments, and a summand of the gradient; all call all methods together.
    """

    def __init__(
        self,
        network: flow.nn.Module,
        optimizer: str,
        *,
        in_vector: bool,
        frozen: Collection[int] = (),
        ranks: Ranks = ALONE,
        sync_bn: bool = False,
        max_labels: int = 0,
    ) -> None:
        """``in_vector``: values lie in ``values``. ``frozen``: layers whose parameters do not move. ``sync_bn``: the
        network's own batch norms take all ranks' images."""
        self.network, self.max_labels = network, max_labels
        self.vector = ParameterVector(network, frozen)
        self.tensors = GlobalTensors(ranks, self.vector.device)
        start, count = self.vector.gather(), self.vector.parameter_size
        # A compiled step leaves the gradients of frozen parameters somewhere too.
        room = sum(slot.size for slot in self.vector.frozen) if in_vector else 0
        self.gradient = self.tensors.partial_sum(np.zeros(count + room, np.float32))
        self.first = self.tensors.replicated(np.zeros(count, np.float32))
        self.second = self.tensors.replicated(np.zeros(1 if optimizer == "SGD" else count, np.float32))
        self.ema = self.tensors.replicated(start)
        self.values = self.tensors.replicated(start) if in_vector else None
        if not in_vector:
            self.vector = ParameterVector(self.tensors.network(network, sync_bn=sync_bn), frozen)

    @property
    def ranks(self) -> Ranks:
        return self.tensors.ranks

    def drop_gradient(self) -> None:
        """Empty the accumulated gradient without an update."""
        synchronise()
        self._write(self.gradient, np.zeros(tuple(local(self.gradient).shape), np.float32))
        synchronise()

    def averaged(self) -> dict[str, np.ndarray]:
        """A snapshot's ``ema`` alone, as this rank has it."""
        synchronise()
        return self._averaged(self._weights())

    def snapshot(self) -> Snapshot:
        """All of it, each tensor read once. Of several ranks it is the first rank's that counts."""
        self._settle()
        synchronise()
        weights, size = self._weights(), self.vector.parameter_size
        training = {f"{WEIGHTS}{name}": array for name, array in weights.items()}
        training |= {name: local(getattr(self, name)).numpy()[:size].copy() for name in VECTORS}
        training["places"] = np.array([self.max_labels])
        return Snapshot(weights, self._averaged(weights), training)

    def load(self, checkpoint: Checkpoint) -> None:
        """Take back a snapshot's ``ema``, as the checkpoint's model, and ``training``.

        Raises WeightsError for another network's or optimizer's.
        """
        held = checkpoint.training or {}
        weights = {name.removeprefix(WEIGHTS): array for name, array in held.items() if name.startswith(WEIGHTS)}
        load_state(self.network, weights)
        vectors = {name: held.get(name, np.empty(0)) for name in VECTORS}
        room = self.gradient.shape[0] - self.vector.parameter_size
        share = 1 if self.ranks.first else 0
        vectors["gradient"] = np.pad(share * vectors["gradient"], (0, room))
        vectors["ema"] = self.vector.join(checkpoint.model, self.vector.size)
        if self.values is not None:
            vectors["values"] = self.vector.join(weights, self.vector.size)
        for name, array in vectors.items():
            tensor = getattr(self, name)
            if array.shape != tuple(tensor.shape):
                raise WeightsError(f"{name} of {array.size} numbers, where training needs {tensor.shape[0]}")
            self._write(tensor, array)
        self.max_labels = int(held["places"][0]) if "places" in held else self.max_labels
        synchronise()

    def _weights(self) -> dict[str, np.ndarray]:
        if self.values is None:
            return state_to_numpy(self.network)
        moved = self.vector.split(local(self.values).numpy())
        held = self.network.state_dict()
        others = arrays_of({name: tensor for name, tensor in held.items() if name not in moved})
        return {name: (moved if name in moved else others)[name] for name in held}

    def _averaged(self, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        still = {slot.name: weights[slot.name] for slot in self.vector.frozen}  # an average would round them
        return weights | self.vector.split(local(self.ema).numpy()) | still

    def _write(self, tensor: flow.Tensor, array: np.ndarray) -> None:
        """Give what this rank has of a tensor the array's values."""
        own = local(tensor)
        own.copy_(flow.tensor(array.astype(np.float32), device=own.device))

    def _settle(self) -> None:
        """Give the first rank all of the gradient, and every rank the mean of the ranks' statistics.

        A run that goes on from here and one that is resumed from here, with any number of ranks, add up alike.
        """
        if self.ranks.alone:
            return
        synchronise()
        total = self.tensors.total(self.gradient)
        self._write(self.gradient, total if self.ranks.first else np.zeros_like(total))
        values = self.vector.gather() if self.values is None else local(self.values).numpy()
        size = self.vector.size - sum(slot.size for slot in self.vector.statistics)
        means = self.tensors.total(self.tensors.partial_sum(values[size:] / self.ranks.count))
        if self.values is not None:
            values[size:] = means  # in the tensor's own memory
            return
        for slot in self.vector.statistics:
            self._write(slot.tensor, means[slot.start - size : slot.stop - size].reshape(tuple(slot.tensor.shape)))
