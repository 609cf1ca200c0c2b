"""Which images go together, and how long they wait for one another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from yolo.serving.batcher import Batcher
from yolo.serving.metrics import Metrics

LONG = 30.0
"""Seconds: a wait that no test comes to the end of."""


class Slow:
    """A detector whose runs last until they are let go; notes the sizes of its batches."""

    def __init__(self, most: int = 16, calls_at_once: int = 1) -> None:
        self.calls_at_once = calls_at_once
        self.batches: list[list[str]] = []
        self.running, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self._most = most

    def most_together(self, size: tuple[int, int]) -> int:
        return self._most

    def detect_ready(self, group: Sequence[Any]) -> list[str]:
        self.batches.append([ready.name for ready in group])
        self.running.release()
        self.go.acquire()
        if "broken" in self.batches[-1]:
            raise ValueError("broken")
        return [ready.name.upper() for ready in group]


def ready(name: str, size: tuple[int, int] = (32, 32)) -> Any:
    return SimpleNamespace(name=name, box=SimpleNamespace(size=size))


def put(batcher: Batcher, *images: Any) -> list[Any]:
    found = []
    for image in images:
        with batcher.coming() as submit:
            found.append(Future())
            submit(image, found[-1])
    return found


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def batcher(slow: Slow) -> Iterator[Batcher]:
    batcher = Batcher(slow, 8, LONG, Metrics())
    yield batcher
    slow.go.release(100)
    batcher.close(finish=False)


def busy(batcher: Batcher, slow: Slow) -> Any:
    """Have the network run, so that what comes waits."""
    (first,) = put(batcher, ready("first"))
    slow.running.acquire()
    return first


def test_one_that_is_alone_waits_for_nobody(batcher: Batcher, slow: Slow) -> None:
    """The limit is half a minute: it would be noticed."""
    slow.go.release()
    begin = time.monotonic()
    assert put(batcher, ready("a"))[0].result(LONG) == "A"
    assert time.monotonic() - begin < LONG / 3


def test_it_waits_for_one_that_is_being_made_ready(batcher: Batcher, slow: Slow) -> None:
    slow.go.release()
    with batcher.coming() as submit:
        (first,) = put(batcher, ready("a"))
        assert not slow.running.acquire(timeout=0.1) and len(batcher) == 1
        second: Future[str] = Future()
        submit(ready("b"), second)
        assert (first.result(LONG), second.result(LONG)) == ("A", "B")
    assert slow.batches == [["a", "b"]]


def test_one_that_fails_to_come_is_not_waited_for(batcher: Batcher, slow: Slow) -> None:
    slow.go.release()
    with pytest.raises(OSError), batcher.coming():
        (first,) = put(batcher, ready("a"))
        raise OSError
    assert first.result(LONG) == "A"


def test_it_waits_no_longer_than_it_may(slow: Slow) -> None:
    batcher = Batcher(slow, 8, 0.05, Metrics())
    slow.go.release()
    with batcher.coming():
        assert put(batcher, ready("a"))[0].result(LONG) == "A"
    batcher.close()


@pytest.mark.parametrize("most, batches", [(16, [8, 4, 1]), (4, [4, 4, 4, 1]), (1, [1] * 13), (5, [4, 4, 4, 1])])
def test_batches_are_full_and_of_few_sizes(most: int, batches: list[int]) -> None:
    """No more than the command allows and the detector gains from."""
    slow = Slow(most)
    batcher = Batcher(slow, 8, LONG, Metrics())
    busy(batcher, slow)
    found = put(batcher, *(ready(str(number)) for number in range(13)))
    slow.go.release(100)
    assert [one.result(LONG) for one in found] == [str(number) for number in range(13)]
    assert [len(batch) for batch in slow.batches[1:]] == batches
    batcher.close()


def test_only_images_of_one_shape_go_together_and_the_oldest_first(batcher: Batcher, slow: Slow) -> None:
    busy(batcher, slow)
    wide = (32, 64)
    found = put(batcher, ready("a"), ready("B", wide), ready("c"), ready("D", wide), ready("e"))
    slow.go.release(100)
    assert [one.result(LONG) for one in found] == ["A", "B", "C", "D", "E"]
    assert slow.batches[1:] == [["a", "c"], ["B", "D"], ["e"]]


def test_what_nobody_waits_for_is_not_looked_at(batcher: Batcher, slow: Slow) -> None:
    busy(batcher, slow)
    first, second = put(batcher, ready("a"), ready("b"))
    batcher.drop(first)
    assert len(batcher) == 1 and first.cancelled()
    slow.go.release(100)
    assert second.result(LONG) == "B"
    assert slow.batches == [["first"], ["b"]]


def test_an_error_is_that_batch_s_alone(batcher: Batcher, slow: Slow) -> None:
    slow.go.release(100)
    with pytest.raises(ValueError, match="broken"):
        put(batcher, ready("broken"))[0].result(LONG)
    assert batcher.alive
    assert put(batcher, ready("a"))[0].result(LONG) == "A"


def test_what_is_queued_is_finished_at_the_end(batcher: Batcher, slow: Slow) -> None:
    first = busy(batcher, slow)
    found = put(batcher, ready("a"), ready("b", (64, 64)))
    slow.go.release(100)
    batcher.close()
    assert [one.result(0) for one in (first, *found)] == ["FIRST", "A", "B"]
    assert not batcher.alive
    with pytest.raises(RuntimeError, match="closed"):
        put(batcher, ready("c"))


def test_or_dropped(batcher: Batcher, slow: Slow) -> None:
    first = busy(batcher, slow)
    (second,) = put(batcher, ready("a"))
    slow.go.release(100)
    batcher.close(finish=False)
    assert first.result(0) == "FIRST" and second.cancelled()


def test_what_is_counted(slow: Slow) -> None:
    metrics = Metrics()
    batcher = Batcher(slow, 8, LONG, metrics)
    busy(batcher, slow)
    put(batcher, ready("a"), ready("b"))
    slow.go.release(100)
    batcher.close()
    assert metrics.batch_size.lines("n")[:2] == ['n_bucket{le="1"} 1', 'n_bucket{le="2"} 2']
    assert metrics.stage_seconds["wait"].lines("n")[-1] == "n_count 3"
    assert metrics.stage_seconds["detect"].lines("n")[-1] == "n_count 2"
    assert batcher.seconds_each > 0


def test_a_detector_that_works_for_several_has_as_many_threads() -> None:
    slow = Slow(most=1, calls_at_once=3)
    batcher = Batcher(slow, 8, LONG, Metrics())
    try:
        found = put(batcher, *map(ready, "abcde"))
        for _ in range(3):
            assert slow.running.acquire(timeout=LONG)
        time.sleep(0.05)
        assert sorted(slow.batches) == [["a"], ["b"], ["c"]] and len(batcher) == 2 and batcher.alive
        slow.go.release(5)
        assert [one.result(LONG) for one in found] == list("ABCDE")
        assert sorted(slow.batches)[3:] == [["d"], ["e"]]
    finally:
        slow.go.release(100)
        batcher.close()
    assert not batcher.alive and batcher.seconds_each > 0


def test_what_an_image_takes_is_its_share_of_the_threads() -> None:
    slow = Slow(most=1, calls_at_once=2)
    batcher = Batcher(slow, 8, LONG, Metrics())
    try:
        found = put(batcher, ready("a"), ready("b"))
        for _ in range(2):
            assert slow.running.acquire(timeout=LONG)
        time.sleep(0.2)
        slow.go.release(1)
        while not any(one.done() for one in found):
            time.sleep(0.001)
        first = batcher.seconds_each  # of at least 0.2 seconds, in which both were under way
        slow.go.release(1)
        assert [one.result(LONG) for one in found] == ["A", "B"]
        assert 0.1 <= first < batcher.seconds_each
    finally:
        slow.go.release(100)
        batcher.close()
