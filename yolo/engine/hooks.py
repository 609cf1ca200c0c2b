"""What happens around training: hooks that see its moments and keep out of its way."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from yolo.data.batch import Batch
    from yolo.engine.trainer import Trainer
    from yolo.engine.validator import Validation


@dataclasses.dataclass(frozen=True)
class EpochReport:
    """One epoch's outcome. losses: mean (box, obj, cls) in training; rates: learning rates of bias, weight, norm;
    validation is None when the epoch was not validated; best says whether its fitness is the best so far."""

    epoch: int
    losses: tuple[float, float, float]
    rates: tuple[float, float, float]
    validation: Validation | None
    best: bool
    seconds: float


class Hook:
    """Override what you need; hooks run in the order in which they were given."""

    def before_train(self, trainer: Trainer) -> None:
        """Everything is built; nothing has run."""

    def before_epoch(self, trainer: Trainer, epoch: int) -> None:
        """An epoch starts."""

    def after_step(self, trainer: Trainer, step: int, batch: Batch, losses: np.ndarray) -> None:
        """A batch went forward and backward. losses: float32 [3], the epoch's mean so far."""

    def after_epoch(self, trainer: Trainer, report: EpochReport) -> None:
        """An epoch was trained and, unless told otherwise, validated."""

    def after_train(self, trainer: Trainer) -> None:
        """Training has ended, in good order."""
