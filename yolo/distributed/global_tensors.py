"""The tensors of ranks that train together."""

from __future__ import annotations

import numpy as np
import oneflow as flow

from yolo.distributed.ranks import Ranks
from yolo.distributed.tensors import PARTIAL_SUM, REPLICATED, SPLIT, local, replicated
from yolo.models.layers.normalisation import BatchNorm2d


class GlobalTensors:
    """Makes global tensors; every method is called by all ranks, in the same order.

    Those of a lone process are local tensors, which are all of these kinds at once and cost nothing.
    ``device``: this rank's; all ranks have the same kind.
    """

    def __init__(self, ranks: Ranks, device: flow.device) -> None:
        self.ranks, self._device = ranks, device

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
        """The value of a tensor of any kind."""
        return local(replicated(tensor)).numpy()

    def network(self, network: flow.nn.Module, *, sync_bn: bool) -> flow.nn.Module:
        """``network``, whose tensors become global: whole on every rank. ``sync_bn``: batch norms over all ranks."""
        if self.ranks.alone:
            return network
        for module in network.modules():
            if isinstance(module, BatchNorm2d):
                module.over_ranks = sync_bn
        return network.to_global(placement=self._placement, sbp=REPLICATED)

    @property
    def _placement(self) -> flow.placement:
        return flow.placement(self._device.type, ranks=list(range(self.ranks.count)))

    def _joined(self, array: np.ndarray, sbp: flow.sbp.sbp) -> flow.Tensor:
        tensor = flow.tensor(array, device=self._device)
        return tensor if self.ranks.alone else tensor.to_global(placement=self._placement, sbp=sbp)
