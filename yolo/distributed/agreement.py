"""What the ranks of a run decide together, so that all of them do the same."""

from __future__ import annotations

import signal

import numpy as np

from yolo.distributed.process_group import ProcessGroup

_STOPS = (signal.SIGINT, signal.SIGTERM)


class Agreement:
    """Of a process that is alone: what it wants. Of one of several: asked by all ranks in the same order."""

    def __init__(self, group: ProcessGroup | None = None) -> None:
        self._group = group
        self.alone = group is None

    def stop(self, own: int | None) -> int | None:
        """The signal by which any rank was asked to stop; None while none was."""
        if self._group is None:
            return own
        asked = np.array([own == number for number in _STOPS], np.float64)
        self._group.exchange.add_up(asked)
        return next((int(number) for number, ranks in zip(_STOPS, asked) if ranks), None)

    def first(self, value: float) -> float:
        """The first rank's value: of a clock, say."""
        if self._group is None:
            return value
        told = np.array([value if self._group.ranks.first else 0.0], np.float64)  # also of a whole number
        self._group.exchange.add_up(told)
        return float(told[0])
