"""Where a training run stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass
class Progress:
    """The counters of a run; a checkpoint keeps them as JSON.

    epoch: epochs that are done; batch: batches seen of the one after them; step: batches seen in all; updates:
    optimizer steps taken; pending: batches since the last of them (the gradients of those of an epoch before are
    dropped). losses: the unfinished epoch's mean (box, obj, cls) so far; rates: learning rates of the newest update.
    epochs: planned in all, 0 for what the options say; seconds: spent so far.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    updates: int = 0
    pending: int = 0
    best_epoch: int = -1
    best_fitness: float = -1.0
    losses: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rates: tuple[float, float, float] = (0.0, 0.0, 0.0)
    epochs: int = 0
    seconds: float = 0.0

    def end_epoch(self) -> None:
        """The epoch's batches are trained and judged; the next one begins."""
        self.epoch += 1
        self.batch, self.losses = 0, (0.0, 0.0, 0.0)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Progress:
        """What ``dataclasses.asdict`` gave; raises TypeError or ValueError for anything else."""
        found = cls(**values)
        for field in dataclasses.fields(cls):
            value = getattr(found, field.name)
            if isinstance(field.default, tuple):
                value = tuple(float(number) for number in value)
                if len(value) != len(field.default):
                    raise ValueError(f"{field.name} has {len(value)} numbers")
            elif isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{field.name} is {value!r}")
            setattr(found, field.name, value if isinstance(value, tuple) else type(field.default)(value))
        return found
