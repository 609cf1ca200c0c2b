"""``--time``: how many epochs a number of hours is enough for."""

from __future__ import annotations

import math


class TimeLimit:
    """A limit on a run's seconds, validation included; None is no limit."""

    def __init__(self, hours: float | None) -> None:
        self.seconds = None if hours is None else 3600 * hours

    def is_over(self, seconds: float) -> bool:
        """Whether a run of ``seconds`` has used up its time."""
        return self.seconds is not None and seconds >= self.seconds

    def epochs(self, done: int, seconds: float, compiling: float) -> int:
        """How many epochs there will be: those done, and as many more as fit into what is left of the time.

        An epoch is expected to take as long as those before it did on average, without the seconds spent
        ``compiling``.
        """
        left = (self.seconds or 0.0) - seconds
        each = max(seconds - compiling, 1e-9) / max(done, 1)
        return done + max(math.floor(left / each), 0)
