"""The ranks that train together: their tensors, and what they tell each other."""

from __future__ import annotations

import os
import pickle
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import oneflow as flow

from graphs.ranked import SPLIT, SUMMAND, WHOLE
from yolo.program._native import native
from yolo.ranks import Ranks

PATIENCE_SECONDS = 60.0
"""How long a rank waits for another one that says nothing."""


class Team:
    """All ranks' meeting point; every method that says so is called by all of them, in the same order."""

    def __init__(self, ranks: Ranks, device: str = "cpu") -> None:
        self.ranks = ranks
        self.placement = flow.placement("cuda" if device.startswith("cuda") else "cpu", ranks=list(range(ranks.count)))

    def split(self, part: np.ndarray) -> flow.Tensor:
        """A global tensor of which this rank has ``part``; all ranks' parts are of one shape."""
        return flow.tensor(part).to_global(placement=self.placement, sbp=SPLIT)

    def whole(self, array: np.ndarray) -> flow.Tensor:
        """A global tensor that every rank has; called by all with equal arrays."""
        return flow.tensor(array).to_global(placement=self.placement, sbp=WHOLE)

    def summand(self, array: np.ndarray) -> flow.Tensor:
        """A global tensor that is the sum of all ranks' arrays."""
        return flow.tensor(array).to_global(placement=self.placement, sbp=SUMMAND)

    def total(self, tensor: flow.Tensor) -> np.ndarray:
        """The value of a global tensor of any kind; called by all."""
        return tensor.to_global(sbp=WHOLE).to_local().numpy()

    def tell(self, thing: Any) -> list[Any]:
        """Everybody's ``thing``, in the order of ranks; called by all. For small things: it travels as a pickle.

        Only the ranks of one run talk to each other here, over connections that OneFlow made.
        """
        data = np.frombuffer(pickle.dumps(thing), np.uint8)
        sizes = [int(size[0]) for size in self._gather(np.array([data.size], np.int64))]
        padded = np.zeros(max(sizes), np.uint8)
        padded[: data.size] = data
        return [pickle.loads(row[:size].tobytes()) for row, size in zip(self._gather(padded), sizes)]

    def _gather(self, array: np.ndarray) -> Sequence[np.ndarray]:
        places = [flow.tensor(np.empty_like(array)) for _ in range(self.ranks.count)]
        flow.comm.all_gather(places, flow.tensor(array))
        return [place.numpy() for place in places]

    def exchange(self) -> native.Exchange:
        """The way by which synchronised batch norms add up their sums; called by all.

        Raises RuntimeError when the ranks do not find each other.
        """
        listener = native.ExchangeListener(secrets.randbits(63)) if self.ranks.first else None
        (port, token), *_ = self.tell((listener.port, listener.token) if listener else None)
        if listener is not None:
            return listener.accept(self.ranks.count, PATIENCE_SECONDS)
        host = os.environ.get("MASTER_ADDR", "127.0.0.1")
        return native.connect_exchange(host, port, token, self.ranks.rank, self.ranks.count, PATIENCE_SECONDS)
