"""Work in stages, made ahead of whoever takes it, and measured: which stage holds the others up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

CONSUMER = "consumer"
"""Whoever takes what a pipeline makes, named as if it were the last stage."""

Clock = Callable[[], float]
_END = object()


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Stage:
    """``run`` makes of what the stage before gave what the next one takes, for several items at once.

    ``stop`` is called when the pipeline ends, early or not: no item is wanted any more.
    """

    name: str
    run: Callable[[Any], Any]
    stop: Callable[[], None] = _nothing


@dataclass(frozen=True)
class PipelineReport:
    """Where the time of a pipeline went, in seconds."""

    seconds: float
    """From its beginning to its end, or to now."""
    waiting: float
    """In which the consumer waited."""
    busy: dict[str, float]
    """By stage: in which it worked on one item at least."""
    queued: float = 0.0
    """Finished results that were waiting when the consumer asked for one: the mean, without the first time."""
    ahead: int = 0
    """The most that can wait."""

    def shares(self) -> dict[str, float]:
        """Of the time, the part in which the consumer and each stage were busy: 0 to 1."""
        busy = {CONSUMER: self.seconds - self.waiting, **self.busy}
        return {name: seconds / max(self.seconds, 1e-9) for name, seconds in busy.items()}

    @property
    def waiting_share(self) -> float:
        """Of the time, the part in which the consumer waited: 0 to 1."""
        return self.waiting / max(self.seconds, 1e-9)

    @property
    def slowest(self) -> str:
        """The busiest stage, which holds a waiting consumer up."""
        return max(self.busy, key=self.busy.__getitem__)

    @property
    def bottleneck(self) -> str:
        """The busiest: ``CONSUMER`` or a stage's name. The others wait for it."""
        shares = self.shares()
        return max(shares, key=shares.__getitem__)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "waiting_share": self.waiting_share, "bottleneck": self.bottleneck}


class Pipeline:
    """Takes items through ``stages``, ``ahead`` of them before they are asked for, each on a thread.

    With 0 ``ahead`` an item is begun when it is asked for, in the caller's thread. Results come in the items' order,
    and so do errors. It runs once.
    """

    def __init__(self, stages: Sequence[Stage], ahead: int, clock: Clock = time.perf_counter) -> None:
        self._stages, self._ahead = stages, ahead
        self._all, self._waiting = _Stopwatch(clock), _Stopwatch(clock)
        self._busy = {stage.name: _Stopwatch(clock) for stage in stages}
        self._begun: deque[Future[Any]] = deque()
        self._asked, self._finished = 0, 0

    def run(self, items: Iterable[Any]) -> Iterator[Any]:
        """The results; all threads have ended when it is exhausted or closed."""
        pool = ThreadPoolExecutor(self._ahead, thread_name_prefix="loader") if self._ahead else None
        results = self._prefetched(items, pool) if pool else map(self._through, items)
        try:
            with self._all.running():
                while True:
                    self._look_at_queue()
                    with self._waiting.running():
                        result = next(results, _END)
                    if result is _END:
                        return
                    yield result
                    del result  # a batch is large: none is held while the next one is made
        finally:
            if pool:
                pool.shutdown(wait=False, cancel_futures=True)
            for stage in self._stages:
                stage.stop()
            if pool:
                pool.shutdown()

    def report(self) -> PipelineReport:
        """Until now; may be asked for while it runs."""
        busy = {name: watch.seconds() for name, watch in self._busy.items()}
        queued = self._finished / max(self._asked, 1)
        return PipelineReport(self._all.seconds(), self._waiting.seconds(), busy, queued, self._ahead)

    def _look_at_queue(self) -> None:
        """The consumer asks for a result: how many are there already."""
        if self._begun:
            self._asked += 1
            self._finished += sum(result.done() for result in self._begun)

    def _prefetched(self, items: Iterable[Any], pool: ThreadPoolExecutor) -> Iterator[Any]:
        begun = self._begun
        for item in items:
            begun.append(pool.submit(self._through, item))
            if len(begun) > self._ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()

    def _through(self, item: Any) -> Any:
        for stage in self._stages:
            with self._busy[stage.name].running():
                item = stage.run(item)
        return item


class _Stopwatch:
    """Adds up the time in which something runs, however often at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._count, self._since, self._total = 0, 0.0, 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with self._lock:
            if not self._count:
                self._since = self._clock()
            self._count += 1
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1
                if not self._count:
                    self._total += self._clock() - self._since

    def seconds(self) -> float:
        with self._lock:
            return self._total + (self._clock() - self._since if self._count else 0.0)
