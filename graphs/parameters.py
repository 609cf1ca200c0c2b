"""A network's parameters as one vector, so that a few wide operations update all of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence

import numpy as np
import oneflow as flow

from yolo.distributed.tensors import arrays_of, local, write

GROUPS = ("bias", "weight", "norm")


@dataclasses.dataclass(frozen=True)
class Slot:
    """One tensor's place in the vector."""

    name: str
    tensor: flow.Tensor
    start: int

    @property
    def size(self) -> int:
        return math.prod(self.tensor.shape)

    @property
    def stop(self) -> int:
        return self.start + self.size


class ParameterVector:
    """The order of a network's tensors in vectors: parameters by optimizer group, then statistics of batch norms.

    Groups, in YOLOv5's order: biases (no decay), weights (decay), weights of normalisations (no decay).
    Parameters of frozen layers come between the two: they have no gradient and do not move.
    ``parameters``, ``frozen`` and ``statistics`` are lists of Slot, ``slots`` all of them; ``group_sizes`` counts
    elements a group, ``parameter_size`` all that move.
    """

    def __init__(self, network: flow.nn.Module, frozen: Collection[int] = ()) -> None:
        """``frozen``: numbers of layers; their parameters are told to want no gradient."""
        groups: dict[str, list[tuple[str, flow.Tensor]]] = {group: [] for group in GROUPS}
        still, prefixes = [], tuple(f"model.{layer}." for layer in frozen)
        for prefix, module in network.named_modules():
            for name, tensor in module.named_parameters(recurse=False):
                full = f"{prefix}.{name}" if prefix else name
                tensor.requires_grad = not full.startswith(prefixes)
                (groups[_group_of(module, name)] if tensor.requires_grad else still).append((full, tensor))
        named = [pair for group in GROUPS for pair in groups[group]]
        self.group_sizes = tuple(sum(math.prod(t.shape) for _, t in groups[group]) for group in GROUPS)
        statistics = [(n, b) for n, b in network.named_buffers() if n.endswith(("running_mean", "running_var"))]
        self.slots = _slots(named + still + statistics)
        self.parameters, rest = self.slots[: len(named)], self.slots[len(named) :]
        self.frozen, self.statistics = rest[: len(still)], rest[len(still) :]
        self.parameter_size = sum(self.group_sizes)
        self.size = self.slots[-1].stop

    @property
    def device(self) -> flow.device:
        """Where the network lives."""
        return self.slots[0].tensor.device

    def by_group(self, formula: Callable[..., flow.Tensor], *vectors: flow.Tensor) -> flow.Tensor:
        """Apply ``formula(*parts, group number)`` to each group's part of ``vectors`` and join the results."""
        parts, start = [], 0
        for number, size in enumerate(self.group_sizes):
            if size:
                parts.append(formula(*(vector[start : start + size] for vector in vectors), number))
            start += size
        return flow.cat(parts)

    def gather(self) -> np.ndarray:
        """The current values of parameters and statistics, float32 [size]; this rank's where they differ."""
        values = arrays_of({slot.name: local(slot.tensor) for slot in self.slots})
        return np.concatenate([array.reshape(-1) for array in values.values()])

    @staticmethod
    def write(slots: Sequence[Slot], values: flow.Tensor) -> None:
        """In a graph: give the tensors of consecutive slots the values, float32 in their order."""
        for slot in slots:
            start = slot.start - slots[0].start
            write(slot.tensor, values[start : start + slot.size].reshape(slot.tensor.shape))

    def split(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Cut a vector of ``size`` or ``parameter_size`` elements into arrays by name, each in its shape."""
        return {
            slot.name: vector[slot.start : slot.stop].reshape(tuple(slot.tensor.shape)).copy()
            for slot in self.slots
            if slot.stop <= vector.size
        }

    def join(self, arrays: dict[str, np.ndarray], size: int) -> np.ndarray:
        """The inverse of ``split``. Raises KeyError when a tensor is missing, ValueError for a wrong shape."""
        vector = np.empty(size, np.float32)
        for slot in self.slots:
            if slot.stop <= size:
                array = arrays[slot.name]
                if array.shape != tuple(slot.tensor.shape):
                    raise ValueError(f"{slot.name} has shape {array.shape}, not {tuple(slot.tensor.shape)}")
                vector[slot.start : slot.stop] = array.reshape(-1)
        return vector


def _group_of(module: flow.nn.Module, name: str) -> str:
    if name == "bias":
        return "bias"
    return "norm" if name == "weight" and "Norm" in type(module).__name__ else "weight"


def _slots(named: list[tuple[str, flow.Tensor]]) -> list[Slot]:
    slots, start = [], 0
    for name, tensor in named:
        slots.append(Slot(name, tensor, start))
        start = slots[-1].stop
    return slots
