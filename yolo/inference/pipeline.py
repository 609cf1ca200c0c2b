"""Work that goes on beside the network: what comes next is read ahead, what is done is written behind."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

T = TypeVar("T")

_MOST_WORKERS = 4
# How often a thread that waits for room looks whether it is still wanted, in seconds.
_GLANCE = 0.1


def worker_count() -> int:
    """Threads for each side of the network: decoding an image takes about as long as a small network on it."""
    return max(1, min(_MOST_WORKERS, len(os.sched_getaffinity(0))))


class Prefetcher(Generic[T]):
    """The results of ``tasks``, in their order; threads work on the next ones meanwhile.

    One thread goes through ``tasks``, so that they may be a generator that does work of its own; ``workers`` threads
    run them. At most ``depth`` results and tasks wait. What a task or the generator raises comes out at its place.
    A context manager, at whose end the threads have ended.
    """

    def __init__(self, tasks: Iterable[Callable[[], T]], workers: int, depth: int) -> None:
        self._queue: Queue[Future[T] | None] = Queue(depth)
        self._stopped = Event()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="ahead")
        self._feeder = Thread(target=self._feed, args=(tasks,), name="ahead-feeder", daemon=True)
        self._feeder.start()

    def __enter__(self) -> Prefetcher[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        with contextlib.suppress(Empty):
            while True:
                self._queue.get_nowait()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._feeder.join()

    def __iter__(self) -> Iterator[T]:
        while (future := self._queue.get()) is not None:
            yield future.result()

    def _feed(self, tasks: Iterable[Callable[[], T]]) -> None:
        tasks = iter(tasks)
        try:
            for task in tasks:
                if not self._put(self._pool.submit(task)):
                    break
        except BaseException as error:  # the consumer's to deal with, whatever it is
            failed: Future[T] = Future()
            failed.set_exception(error)
            self._put(failed)
        finally:
            if hasattr(tasks, "close"):  # a generator that holds a file
                tasks.close()
            self._put(None)

    def _put(self, item: Future[T] | None) -> bool:
        while not self._stopped.is_set():
            with contextlib.suppress(Full):
                self._queue.put(item, timeout=_GLANCE)
                return True
        return False


class AsyncWriter:
    """Jobs done by threads, some time after they were given.

    ``do`` waits while ``depth`` jobs are unfinished. The first error of a job is raised by a later ``do`` or by
    ``finish``. With 0 ``workers`` every job is done at once.
    """

    def __init__(self, workers: int, depth: int = 8) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="behind") if workers else None
        self._line = ThreadPoolExecutor(1, thread_name_prefix="behind-line") if workers else None
        self._waiting: deque[Future] = deque()
        self._depth = depth

    def do(self, job: Callable[[], object], *, in_order: bool = False) -> None:
        """Have ``job`` done; those ``in_order`` go one after the other."""
        pool = self._line if in_order else self._pool
        if pool is None:
            job()
            return
        self._waiting.append(pool.submit(job))
        while len(self._waiting) > self._depth or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()

    def finish(self) -> None:
        """Wait for all jobs; raises the first error of one."""
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        """End the threads; jobs that were not begun are not done."""
        for pool in (self._pool, self._line):
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)
