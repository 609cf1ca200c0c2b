"""The tensors of ranks that train together."""

from __future__ import annotations

import numpy as np
import oneflow as flow

from graphs.ranked import SPLIT, SUMMAND, WHOLE
from yolo.links import Links


class Team:
    """Makes global tensors; every method is called by all ranks, in the same order."""

    def __init__(self, links: Links) -> None:
        self.links, self.ranks = links, links.ranks
        self._placement = flow.placement("cpu", ranks=list(range(self.ranks.count)))

    def split(self, part: np.ndarray) -> flow.Tensor:
        """A global tensor of which this rank has ``part``; all ranks' parts are of one shape."""
        return flow.tensor(part).to_global(placement=self._placement, sbp=SPLIT)

    def whole(self, array: np.ndarray) -> flow.Tensor:
        """A global tensor that every rank has; all ranks' arrays are equal."""
        return flow.tensor(array).to_global(placement=self._placement, sbp=WHOLE)

    def summand(self, array: np.ndarray) -> flow.Tensor:
        """A global tensor that is the sum of all ranks' arrays."""
        return flow.tensor(array).to_global(placement=self._placement, sbp=SUMMAND)

    def total(self, tensor: flow.Tensor) -> np.ndarray:
        """The value of a global tensor of any kind."""
        return tensor.to_global(sbp=WHOLE).to_local().numpy()
