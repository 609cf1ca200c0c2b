"""Images that go through a processor beside one another, each on one thread from its file to its boxes."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import LifoQueue
from typing import TypeVar

from yolo.inference.inputs import Ready
from yolo.inference.look import Look
from yolo.inference.pipeline import Prefetcher, worker_count
from yolo.inference.results import Result

Made = TypeVar("Made")
Found = TypeVar("Found")


class Lanes:
    """Several looks of one thread each, and one of all threads while images are fewer than these.

    Threads that share an image wait for one another at every layer, and for the core that decodes the next image; with
    an image each they never wait. All of them find the same, in every bit. Threads may share it; without lanes their
    calls go one after the other.
    """

    def __init__(self, whole: Look, lanes: Sequence[Look]) -> None:
        self.count = len(lanes)
        self._whole, self._under_way = whole, _UnderWay()
        self._free: LifoQueue[Look] = LifoQueue()  # the last one's memory is still in a cache
        for lane in lanes:
            self._free.put(lane)

    def __call__(self, group: Sequence[Ready]) -> list[Result]:
        """What a look gives for images of one letterboxed shape."""
        self._under_way.add(1)
        with self._under_way.one_done(), self._look() as look:
            return look(group)

    @contextlib.contextmanager
    def through(
        self, tasks: Iterable[Callable[[], Made]], look_at: Callable[[Look, Made], Found]
    ) -> Iterator[Iterable[Found]]:
        """What ``look_at`` finds in what ``tasks`` make ready, in their order; threads work on a few ahead.

        What a task or ``look_at`` raises comes out at its place, as of a ``Prefetcher``.
        """
        if not self.count:
            workers = worker_count()
            with Prefetcher(tasks, workers, 2 * workers) as ahead:
                yield (look_at(self._whole, made) for made in ahead)
            return

        own = _UnderWay(self._under_way)

        def do(task: Callable[[], Made]) -> Found:
            with own.one_done():
                made = task()
                with self._look() as look:
                    return look_at(look, made)

        def begun() -> Iterator[Callable[[], Found]]:
            for task in tasks:
                own.add(1)
                yield functools.partial(do, task)

        try:
            with Prefetcher(begun(), self.count, 2 * self.count) as ahead:
                yield ahead
        finally:
            own.add(-own.count)  # those that nobody waited for

    @contextlib.contextmanager
    def _look(self) -> Iterator[Look]:
        if not 0 < self.count <= self._under_way.count:
            yield self._whole
            return
        lane = self._free.get()
        try:
            yield lane
        finally:
            self._free.put(lane)


class _UnderWay:
    """How many images were begun and are not done; also a part of the ones that are counted elsewhere."""

    def __init__(self, of: _UnderWay | None = None) -> None:
        self.count, self._of, self._lock = 0, of, threading.Lock()

    def add(self, number: int) -> None:
        with self._lock:
            self.count += number
        if self._of is not None:
            self._of.add(number)

    @contextlib.contextmanager
    def one_done(self) -> Iterator[None]:
        """Behind the block one is done."""
        try:
            yield
        finally:
            self.add(-1)
