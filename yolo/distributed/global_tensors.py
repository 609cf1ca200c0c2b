"""The tensors of ranks that train together."""

from __future__ import annotations

import numpy as np
import oneflow as flow

from yolo.distributed.process_group import ProcessGroup
from yolo.distributed.tensors import PARTIAL_SUM, REPLICATED, SPLIT, local
from yolo.models.layers.normalisation import BatchNorm2d


class GlobalTensors:
    """Makes global tensors; every method is called by all ranks, in the same order.

    ``device``: this rank's, "cpu" or "cuda:N"; all ranks have the same kind.
    """

    def __init__(self, group: ProcessGroup, device: str = "cpu") -> None:
        self.group, self.ranks = group, group.ranks
        self._device = device
        self._placement = flow.placement(device.partition(":")[0], ranks=list(range(self.ranks.count)))

    def split(self, part: np.ndarray) -> flow.Tensor:
        """A global tensor of which this rank has ``part``; all ranks' parts are of one shape."""
        return self._joined(part, SPLIT)

    def replicated(self, array: np.ndarray) -> flow.Tensor:
        """A global tensor that every rank has; all ranks' arrays are equal."""
        return self._joined(array, REPLICATED)

    def partial_sum(self, array: np.ndarray) -> flow.Tensor:
        """A global tensor that is the sum of all ranks' arrays."""
        return self._joined(array, PARTIAL_SUM)

    def total(self, tensor: flow.Tensor) -> np.ndarray:
        """The value of a global tensor of any kind."""
        return local(tensor.to_global(sbp=REPLICATED)).numpy()

    def network(self, network: flow.nn.Module, *, sync_bn: bool) -> flow.nn.Module:
        """``network``, whose tensors become global: whole on every rank. ``sync_bn``: batch norms over all ranks."""
        for module in network.modules():
            if isinstance(module, BatchNorm2d):
                module.over_ranks = sync_bn
        return network.to_global(placement=self._placement, sbp=REPLICATED)

    def _joined(self, array: np.ndarray, sbp: flow.sbp.sbp) -> flow.Tensor:
        return flow.tensor(array, device=self._device).to_global(placement=self._placement, sbp=sbp)
