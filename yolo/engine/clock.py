"""Where an epoch's time goes: waiting for data, compiling, training, validating."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yolo.data.batch import Batch


@dataclasses.dataclass(frozen=True)
class EpochTimes:
    """Seconds of one epoch, none counted twice, and the images that it trained on."""

    waiting: float = 0.0
    compiling: float = 0.0
    training: float = 0.0
    validating: float = 0.0
    pictures: int = 0


class EpochClock:
    """Runs while an epoch does. ``compiled`` gives the seconds spent compiling so far."""

    def __init__(self, compiled: Callable[[], float]) -> None:
        self._compiled = compiled
        self._lap = self.begin = time.perf_counter()
        self._compiled_before = compiled()
        self._times = dict.fromkeys(("compiling", "training", "validating"), 0.0)
        self.waiting, self.images = 0.0, 0

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches; the time until each is there counts as waiting for data."""
        source = iter(batches)
        while True:
            since = time.perf_counter()
            batch = next(source, None)
            self.waiting += time.perf_counter() - since
            if batch is None:
                return
            self.images += len(batch)
            yield batch

    def lap(self, name: str) -> None:
        """What went by since the lap before, less the compiling in it, was ``name``: training or validating."""
        now, compiled = time.perf_counter(), self._compiled()
        compiling = compiled - self._compiled_before
        self._times["compiling"] += compiling
        self._times[name] += now - self._lap - compiling
        self._lap, self._compiled_before = now, compiled

    def waiting_share(self) -> float:
        """Of the time since the epoch began, the part spent waiting for data: 0 to 1."""
        return self.waiting / max(time.perf_counter() - self.begin, 1e-9)

    def times(self) -> EpochTimes:
        """All laps so far."""
        apart = {**self._times, "training": max(self._times["training"] - self.waiting, 0.0)}
        return EpochTimes(waiting=self.waiting, pictures=self.images, **apart)
