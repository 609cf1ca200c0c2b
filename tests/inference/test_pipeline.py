"""Work beside the network: in order, bounded, errors at their place, nothing left running."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterator

import pytest

from yolo.inference.pipeline import AsyncWriter, Prefetcher


def after(seconds: float, value: int) -> int:
    time.sleep(seconds)
    return value


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(("ahead", "behind"))}


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_their_tasks(workers: int) -> None:
    tasks = [functools.partial(after, 0.02 if number % 3 == 0 else 0, number) for number in range(12)]
    with Prefetcher(tasks, workers, 4) as ahead:
        assert list(ahead) == list(range(12))
    assert threads() == set()


def test_nothing_to_do() -> None:
    with Prefetcher([], 2, 2) as ahead:
        assert list(ahead) == []


def test_errors_come_at_their_place() -> None:
    def fail() -> int:
        raise ValueError("third")

    seen = []
    with pytest.raises(ValueError, match="third"), Prefetcher([lambda: 1, lambda: 2, fail, lambda: 4], 2, 8) as ahead:
        seen += ahead
    assert seen == [1, 2] and threads() == set()
    with Prefetcher([lambda: 1, lambda: 2, fail], 2, 8) as ahead:
        results = iter(ahead)
        assert (next(results), next(results)) == (1, 2)
        with pytest.raises(ValueError, match="third"):
            next(results)


def test_what_goes_through_the_tasks_may_fail_too() -> None:
    def tasks() -> Iterator:
        yield lambda: 1
        raise OSError("the second")

    with Prefetcher(tasks(), 2, 8) as ahead:
        results = iter(ahead)
        assert next(results) == 1
        with pytest.raises(OSError, match="the second"):
            next(results)


def test_it_does_not_run_far_ahead_and_stops_when_it_is_left() -> None:
    begun, closed = [], []

    def tasks() -> Iterator:
        try:
            for number in range(1000):
                yield functools.partial(begun.append, number)
        finally:
            closed.append(True)

    with Prefetcher(tasks(), 2, 3) as ahead:
        next(iter(ahead))
        time.sleep(0.1)
        assert len(begun) <= 1 + 3 + 1
    assert closed == [True] and threads() == set() and len(begun) <= 6


def test_jobs_in_order_and_jobs_beside_them() -> None:
    done, behind = [], AsyncWriter(3)
    for number in range(9):
        behind.do(functools.partial(lambda n: done.append(after(0.01 * (n % 2), n)), number), in_order=True)
    behind.finish()
    assert done == list(range(9))
    behind.close()
    assert threads() == set()


def test_without_workers_everything_is_done_at_once() -> None:
    done, behind = [], AsyncWriter(0)
    behind.do(lambda: done.append(1))
    assert done == [1]
    behind.finish()
    behind.close()


def test_a_jobs_error_is_raised_later_and_ends_what_waits() -> None:
    def fail() -> None:
        raise OSError("full")

    done, behind = [], AsyncWriter(1, depth=2)
    with pytest.raises(OSError, match="full"):
        behind.do(fail)
        for _ in range(50):
            behind.do(lambda: done.append(after(0.01, 1)))
    assert len(done) < 5
    behind.close()
    behind = AsyncWriter(1)
    behind.do(lambda: time.sleep(0.05) or fail())
    with pytest.raises(OSError, match="full"):
        behind.finish()
    behind.close()


def test_so_many_jobs_wait_and_no_more() -> None:
    running, gate, behind = [], threading.Event(), AsyncWriter(1, depth=2)
    giver = threading.Thread(target=lambda: [behind.do(gate.wait) or running.append(1) for _ in range(6)])
    giver.start()
    while len(running) < 2:
        time.sleep(0.01)
    time.sleep(0.1)  # for a third, which does not come
    assert len(running) == 2
    gate.set()
    giver.join()
    behind.finish()
    behind.close()
    assert len(running) == 6
