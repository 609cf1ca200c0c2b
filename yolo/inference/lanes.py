"""Images that go through a processor beside one another, each on one thread from its file to its boxes."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from queue import LifoQueue
from typing import TypeVar

from yolo.inference.look import Look
from yolo.inference.pipeline import Prefetcher

Made = TypeVar("Made")
Found = TypeVar("Found")


class Lanes:
    """Several looks of one thread each, and one of all threads for images that are fewer than these.

    Threads that share an image wait for one another at every layer, and for the core that decodes the next image; with
    an image each they never wait. All of them find the same, in every bit. Threads may share it.
    """

    def __init__(self, whole: Look, lanes: Sequence[Look]) -> None:
        self.count = len(lanes)
        self._whole = whole
        self._free: LifoQueue[Look] = LifoQueue()  # the last one's memory is still in a cache
        for lane in lanes:
            self._free.put(lane)

    @contextlib.contextmanager
    def through(
        self, tasks: Iterable[Callable[[], Made]], look_at: Callable[[Look, Made], Found]
    ) -> Iterator[Iterable[Found]]:
        """What ``look_at`` finds in what ``tasks`` make ready, in their order; threads do both for a few ahead.

        What a task or ``look_at`` raises comes out at its place, as of a ``Prefetcher``.
        """
        under_way = _UnderWay()

        def do(task: Callable[[], Made]) -> Found:
            try:
                made = task()
                with self._one(many=under_way.count >= self.count) as look:
                    return look_at(look, made)
            finally:
                under_way.add(-1)

        def begun() -> Iterator[Callable[[], Found]]:
            for task in tasks:
                under_way.add(1)
                yield functools.partial(do, task)

        with Prefetcher(begun(), self.count, 2 * self.count) as ahead:
            yield ahead

    @contextlib.contextmanager
    def _one(self, *, many: bool) -> Iterator[Look]:
        if not many:
            yield self._whole
            return
        lane = self._free.get()
        try:
            yield lane
        finally:
            self._free.put(lane)


class _UnderWay:
    """How many tasks were given out and are not done."""

    def __init__(self) -> None:
        self.count, self._lock = 0, threading.Lock()

    def add(self, number: int) -> None:
        with self._lock:
            self.count += number
