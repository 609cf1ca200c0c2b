"""A state beside the names and shapes that a network has."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from yolo.errors import WeightsError

Shape = tuple[int, ...]


def require_state(own: Mapping[str, Shape], state: Mapping[str, np.ndarray]) -> None:
    """Raise WeightsError unless names and shapes of ``state`` are the network's ``own``.

    Batch norms' `num_batches_tracked` may be absent: no computation reads it.
    """
    missing = [name for name in own if name not in state and not name.endswith(".num_batches_tracked")]
    foreign = [name for name in state if name not in own]
    misshapen = [name for name, values in state.items() if name in own and own[name] != values.shape]
    for what, names in (("missing", missing), ("unknown", foreign), ("of another shape", misshapen)):
        if names:
            listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
            raise WeightsError(f"{len(names)} tensors {what} ({listed}): the weights are another network's")
