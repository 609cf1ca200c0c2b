"""Images of several requests go through the network together, if that delays none of them for long."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Protocol

from yolo.data.letterbox import Size
from yolo.inference.inputs import Ready
from yolo.inference.results import Result
from yolo.serving.metrics import Metrics

_NEWEST = 0.2
"""The weight of the newest batch in the mean of what an image takes."""


class BatchDetector(Protocol):
    """What a batcher needs of a ``Detector``."""

    calls_at_once: int

    def detect_ready(self, group: Sequence[Ready]) -> list[Result]: ...

    def most_together(self, size: Size) -> int: ...


@dataclasses.dataclass(frozen=True, eq=False)
class _Job:
    ready: Ready
    future: Future[Result]
    since: float


class Batcher:
    """A queue of images, and threads that take them to the network, as many as the detector works for at once.

    The oldest image goes next, together with those of its letterboxed shape that wait, up to ``max_batch`` of them and
    no more than the detector gains from. It waits for others only while others are ``coming``, and never for longer
    than ``max_delay`` seconds: a request that is alone is not delayed at all. Batches are of 1, 2, 4, 8, … images, as
    each number of them is compiled once. How many wait is for the caller to bound.
    """

    def __init__(self, detector: BatchDetector, max_batch: int, max_delay: float, metrics: Metrics) -> None:
        self._detector, self._max_batch, self._max_delay, self._metrics = detector, max_batch, max_delay, metrics
        self._changed = threading.Condition()
        self._jobs: list[_Job] = []
        self._coming = self._busy = 0
        self._closed = False
        self.seconds_each = 0.0
        """How long after one image the next one is done, at present."""
        threads = range(detector.calls_at_once)
        self._threads = [threading.Thread(target=self._work, name=f"batcher-{i}", daemon=True) for i in threads]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        """Images that wait."""
        return len(self._jobs)

    @property
    def alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    @contextlib.contextmanager
    def coming(self) -> Iterator[Callable[[Ready, Future[Result]], None]]:
        """While the block runs an image is being made ready, for which others may wait.

        What the block gets takes it, once, and the future of what will be found in it. It raises RuntimeError behind
        ``close``.
        """
        came = False

        def submit(ready: Ready, future: Future[Result]) -> None:
            nonlocal came
            job = _Job(ready, future, time.perf_counter())
            with self._changed:
                if self._closed:
                    raise RuntimeError("the batcher is closed")
                self._jobs.append(job)
                self._coming, came = self._coming - 1, True
                self._changed.notify()

        with self._changed:
            self._coming += 1
        try:
            yield submit
        finally:
            if not came:
                with self._changed:
                    self._coming -= 1
                    self._changed.notify()

    def drop(self, future: Future[Result]) -> None:
        """Take an image out of the queue for which nobody waits any more."""
        future.cancel()
        with self._changed:
            self._jobs = [job for job in self._jobs if job.future is not future]

    def close(self, *, finish: bool = True) -> None:
        """End the threads; what waits is finished first, or else cancelled."""
        with self._changed:
            self._closed = True
            if not finish:
                for job in self._jobs:
                    job.future.cancel()
                self._jobs = []
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while group := self._next():
            self._detect([job for job in group if job.future.set_running_or_notify_cancel()])
            with self._changed:
                self._busy -= 1

    def _next(self) -> list[_Job]:
        """The images that go next, oldest first; none: it is over."""
        with self._changed:
            while True:
                if not self._jobs:
                    if self._closed:
                        return []
                    self._changed.wait()
                    continue
                group, most = self._with_the_oldest()
                left = self._jobs[0].since + self._max_delay - time.perf_counter()
                if len(group) >= most or not self._coming or left <= 0:
                    return self._taken(group[: 1 << min(len(group), most).bit_length() - 1])
                self._changed.wait(left)

    def _taken(self, group: list[_Job]) -> list[_Job]:
        """The group, out of the queue."""
        taken = set(map(id, group))
        self._jobs = [job for job in self._jobs if id(job) not in taken]
        self._busy += 1
        if self._jobs:  # another thread's
            self._changed.notify()
        return group

    def _with_the_oldest(self) -> tuple[list[_Job], int]:
        """All of its shape, and how many of them may go together."""
        size = self._jobs[0].ready.box.size
        most = max(1, min(self._max_batch, self._detector.most_together(size)))
        return [job for job in self._jobs if job.ready.box.size == size], most

    def _note(self, seconds: float) -> None:
        """Of an image, in one of the threads."""
        with self._changed:
            each = seconds / self._busy
            self.seconds_each += (each - self.seconds_each) * (_NEWEST if self.seconds_each else 1)

    def _detect(self, group: Sequence[_Job]) -> None:
        if not group:
            return
        begin = time.perf_counter()
        try:
            results = self._detector.detect_ready([job.ready for job in group])
        except Exception as error:  # the requests' to answer; the thread goes on
            for job in group:
                job.future.set_exception(error)
            return
        seconds = time.perf_counter() - begin
        self._note(seconds / len(group))
        self._metrics.batch_size.observe(len(group))
        self._metrics.stage_seconds["detect"].observe(seconds)
        for job, result in zip(group, results):
            self._metrics.stage_seconds["wait"].observe(begin - job.since)
            job.future.set_result(result)
