"""What the ranks of a run decide together, so that all of them do the same."""

from __future__ import annotations

import signal

import numpy as np

from yolo.distributed.process_group import LONE, ProcessGroup

_STOPS = (signal.SIGINT, signal.SIGTERM)


class Agreement:
    """Asked by all ranks in the same order; a lone process agrees with itself."""

    def __init__(self, group: ProcessGroup = LONE) -> None:
        self._group = group
        self.alone = group.ranks.alone

    def stop(self, own: int | None) -> int | None:
        """The signal by which any rank was asked to stop; None while none was."""
        asked = self._group.all_reduce(np.array([own == number for number in _STOPS], np.float64))
        return next((int(number) for number, ranks in zip(_STOPS, asked) if ranks), None)

    def first(self, value: float) -> float:
        """The first rank's value: of a clock, say."""
        told = np.array([value if self._group.ranks.first else 0.0], np.float64)  # also of a whole number
        return float(self._group.all_reduce(told)[0])
