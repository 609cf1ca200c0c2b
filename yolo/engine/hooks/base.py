"""What happens around training: hooks that see its moments and keep out of its way."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from yolo.engine.clock import EpochClock, EpochTimes

if TYPE_CHECKING:
    from yolo.data.batch import Batch
    from yolo.distributed.agreement import Agreement
    from yolo.engine.build import TrainParts
    from yolo.engine.progress import Progress
    from yolo.engine.schedule import Schedule
    from yolo.engine.tracer import Tracer
    from yolo.engine.validator import BatchListener, Validation


@dataclasses.dataclass(frozen=True)
class EpochReport:
    """One epoch's outcome. losses: mean (box, obj, cls) in training; rates: learning rates of bias, weight, norm;
    validation is None when the epoch was not validated; best says whether its fitness is the best so far; seconds:
    all of it; times: where they went."""

    epoch: int
    losses: tuple[float, float, float]
    rates: tuple[float, float, float]
    validation: Validation | None
    best: bool
    seconds: float
    times: EpochTimes


class Training(Protocol):
    """What hooks see of the trainer. ``saved``: the run's newest checkpoint; ``hours``: the time limit."""

    parts: TrainParts
    schedule: Schedule
    progress: Progress
    hooks: list[Hook]
    agreement: Agreement
    saved: Path | None
    patience: int
    clock: EpochClock
    tracer: Tracer
    stale: bool
    hours: float | None
    stop_asked: bool

    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""


class Hook:
    """Override what you need; hooks run in the order in which they were given.

    The hook that writes checkpoints comes behind all that write results into the run's folder: what they wrote in
    ``after_epoch`` is on disk when a checkpoint says that the epoch is done. A run that was killed goes on from its
    newest checkpoint, so whatever appends to a file drops in ``before_train`` what lies at or behind
    ``trainer.progress.epoch``; that epoch is made again.
    Of several ranks only the first has hooks, but for those that change what is trained.
    """

    def state(self) -> dict[str, Any]:
        """What a resumed run must know of this hook, as JSON; kept in each checkpoint under the class's name."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave (never called with an empty one); comes before ``before_train``."""

    def before_train(self, trainer: Training) -> None:
        """Everything is built, in a resumed run loaded too; nothing has run."""

    def before_epoch(self, trainer: Training, epoch: int) -> None:
        """An epoch starts, or goes on in its middle."""

    def after_step(self, trainer: Training, step: int, batch: Batch, losses: np.ndarray) -> None:
        """A batch went forward and backward. losses: float32 [3], the epoch's mean so far."""

    def watch_validation(self, trainer: Training, epoch: int) -> BatchListener | None:
        """The epoch is about to be validated; what this gives is called with each batch and its detections."""

    def after_epoch(self, trainer: Training, report: EpochReport) -> None:
        """An epoch was trained and, unless told otherwise, validated."""

    def after_train(self, trainer: Training) -> None:
        """Training has ended, in good order."""

    def after_run(self, trainer: Training, validation: Validation) -> None:
        """The best checkpoint was measured and what it sees was drawn: all files of the run are there."""

    def on_error(self, trainer: Training, error: BaseException) -> None:
        """Training ends early by ``error``, which is raised when all hooks have seen it.

        With ``yolo.errors.Interrupted`` it stops on request after a whole step, and can go on from there.
        """


def states_of(hooks: Iterable[Hook]) -> dict[str, dict[str, Any]]:
    """The states that are not empty, by class name."""
    return {type(hook).__name__: state for hook in hooks if (state := hook.state())}


def load_states(hooks: Iterable[Hook], states: Mapping[str, dict[str, Any]]) -> None:
    """Give each hook the state that one of its class had."""
    for hook in hooks:
        if state := states.get(type(hook).__name__):
            hook.load_state(state)
