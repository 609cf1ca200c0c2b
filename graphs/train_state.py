"""All that a training run moves: where it lies, how it becomes arrays, and how it comes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

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
LOSS_SCALE = "loss_scale"


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


class DeviceVectors(Protocol):
    """Where a device keeps what is trained (csrc/program/cuda/step.h: TrainVectors)."""

    scaled: bool
    loss_scale: tuple[float, int]
    """Of float16, where it is ``scaled``: what the loss is multiplied by, and for how many updates that has been so."""

    def read(self, name: str) -> np.ndarray: ...

    def write(self, name: str, values: np.ndarray) -> None: ...


class TrainState:
    """Values, gradient and moments of one network; ``vector`` is their order.

    The graphs write them in place: gradient, first, second: float32 [parameter_size] (accumulated gradient; momentum or
    first moment; second moment, one element with SGD), ema: float32 [size]. values: float32 [size], the place of the
    network's own tensors, which are left as they were; None where these are trained. All of these are None where a
    device keeps them, in ``on_device``. ``max_labels``: the room for labels of an image that the run has come to need.

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
        device: Callable[[Sequence[int]], DeviceVectors] | None = None,
    ) -> None:
        """``in_vector``: values lie in ``values``. ``frozen``: layers whose parameters do not move. ``sync_bn``: the
        network's own batch norms take all ranks' images. ``device``: makes the vectors of values, gradient, first,
        second, ema, of these lengths, on a device that keeps them."""
        self.network, self.max_labels, self._in_vector = network, max_labels, in_vector
        self.vector = ParameterVector(network, frozen)
        self.tensors = GlobalTensors(ranks, self.vector.device)
        start, count = self.vector.gather(), self.vector.parameter_size
        # A compiled step leaves the gradients of frozen parameters somewhere too.
        room = sum(slot.size for slot in self.vector.frozen) if in_vector else 0
        starts = {
            "values": start if in_vector else np.zeros(0, np.float32),
            "gradient": np.zeros(count + room, np.float32),
            "first": np.zeros(count, np.float32),
            "second": np.zeros(1 if optimizer == "SGD" else count, np.float32),
            "ema": start,
        }
        self._lengths = {name: len(values) for name, values in starts.items()}
        self.on_device = None if device is None else device(list(self._lengths.values()))
        for name, values in starts.items():
            self._place(name, values)
        if not in_vector:
            self.vector = ParameterVector(self.tensors.network(network, sync_bn=sync_bn), frozen)

    @property
    def ranks(self) -> Ranks:
        return self.tensors.ranks

    def drop_gradient(self) -> None:
        """Empty the accumulated gradient without an update."""
        synchronise()
        self._write("gradient", np.zeros(self._lengths["gradient"], np.float32))
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
        training |= {name: self._read(name)[:size].copy() for name in VECTORS}
        training["places"] = np.array([self.max_labels])
        if self.on_device is not None and self.on_device.scaled:
            training[LOSS_SCALE] = np.array(self.on_device.loss_scale, np.float32)
        return Snapshot(weights, self._averaged(weights), training)

    def load(self, checkpoint: Checkpoint) -> None:
        """Take back a snapshot's ``ema``, as the checkpoint's model, and ``training``.

        Raises WeightsError for another network's or optimizer's.
        """
        held = checkpoint.training or {}
        weights = {name.removeprefix(WEIGHTS): array for name, array in held.items() if name.startswith(WEIGHTS)}
        load_state(self.network, weights)
        vectors = {name: held.get(name, np.empty(0)) for name in VECTORS}
        room = self._lengths["gradient"] - self.vector.parameter_size
        share = 1 if self.ranks.first else 0
        vectors["gradient"] = np.pad(share * vectors["gradient"], (0, room))
        vectors["ema"] = self.vector.join(checkpoint.model, self.vector.size)
        if self._in_vector:
            vectors["values"] = self.vector.join(weights, self.vector.size)
        for name, array in vectors.items():
            needed = self._lengths[name]
            if array.shape != (needed,):
                raise WeightsError(f"{name} of {array.size} numbers, where training needs {needed}")
            self._write(name, array)
        if self.on_device is not None and self.on_device.scaled and LOSS_SCALE in held:
            scale, steps = held[LOSS_SCALE]
            self.on_device.loss_scale = float(scale), int(steps)
        self.max_labels = int(held["places"][0]) if "places" in held else self.max_labels
        synchronise()

    def _weights(self) -> dict[str, np.ndarray]:
        if not self._in_vector:
            return state_to_numpy(self.network)
        moved = self.vector.split(self._read("values"))
        held = self.network.state_dict()
        others = arrays_of({name: tensor for name, tensor in held.items() if name not in moved})
        return {name: (moved if name in moved else others)[name] for name in held}

    def _averaged(self, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        still = {slot.name: weights[slot.name] for slot in self.vector.frozen}  # an average would round them
        return weights | self.vector.split(self._read("ema")) | still

    def _place(self, name: str, values: np.ndarray) -> None:
        """Where a vector is from now on, with its first values."""
        tensor = None
        if self.on_device is not None:
            self.on_device.write(name, values)
        elif len(values):
            tensor = (self.tensors.partial_sum if name == "gradient" else self.tensors.replicated)(values)
        setattr(self, name, tensor)

    def _read(self, name: str) -> np.ndarray:
        """What this rank has of a vector: the tensor's own memory, or a copy of what a device has."""
        if self.on_device is not None:
            return self.on_device.read(name)
        return local(getattr(self, name)).numpy()

    def _write(self, name: str, array: np.ndarray) -> None:
        """Give what this rank has of a vector the array's values."""
        array = np.ascontiguousarray(array, np.float32)
        if self.on_device is not None:
            self.on_device.write(name, array)
        else:
            _write(getattr(self, name), array)

    def _settle(self) -> None:
        """Give the first rank all of the gradient, and every rank the mean of the ranks' statistics.

        A run that goes on from here and one that is resumed from here, with any number of ranks, add up alike.
        """
        if self.ranks.alone:
            return
        synchronise()
        total = self.tensors.total(self.tensors.partial_sum(self._read("gradient").copy()))
        self._write("gradient", total if self.ranks.first else np.zeros_like(total))
        values = (self._read("values") if self._in_vector else self.vector.gather()).copy()
        size = self.vector.size - sum(slot.size for slot in self.vector.statistics)
        means = self.tensors.total(self.tensors.partial_sum(values[size:] / self.ranks.count))
        if self._in_vector:
            values[size:] = means
            self._write("values", values)
            return
        for slot in self.vector.statistics:
            _write(slot.tensor, means[slot.start - size : slot.stop - size].reshape(tuple(slot.tensor.shape)))


def _write(tensor: flow.Tensor, array: np.ndarray) -> None:
    own = local(tensor)
    own.copy_(flow.tensor(array, device=own.device))
