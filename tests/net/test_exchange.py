"""What ranks tell each other: sums and messages, the same on all of them, and a lost rank is named."""

from __future__ import annotations

import functools
import resource
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.distributed.rendezvous.meetings import exchanges, together
from yolo.native import Exchange


def add_up(ranks: list, values: list[np.ndarray]) -> list[np.ndarray]:
    copies = [value.copy() for value in values]
    together([functools.partial(rank.add_up, copy) for rank, copy in zip(ranks, copies)])
    return copies


@pytest.mark.parametrize("count", [1, 7, 4096, 100_000])
@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_everyone_gets_the_sum_in_the_order_of_ranks(ranks: int, count: int) -> None:
    rng = np.random.default_rng(count)
    values = [rng.normal(size=count) * 10.0 ** rng.integers(-8, 8) for _ in range(ranks)]
    expected = values[0].copy()
    for value in values[1:]:
        expected += value
    linked = exchanges(ranks)
    for _ in range(3):
        for got in add_up(linked, values):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_everyone_gets_every_message_in_the_order_of_ranks(ranks: int) -> None:
    linked = exchanges(ranks)
    for size in (0, 3, 1_000_000):
        messages = [bytes([rank]) * (size + rank) for rank in range(ranks)]
        found = together([functools.partial(rank.tell, text, 1 << 21) for rank, text in zip(linked, messages)])
        assert found == [messages] * ranks


def test_a_rank_that_goes_is_named() -> None:
    linked = exchanges(3)
    del linked[2]
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(linked[1].add_up, np.ones(4))
        with pytest.raises(RuntimeError, match="rank 0 lost its connection to rank 2"):
            linked[0].add_up(np.ones(4))
        del linked[0]
        with pytest.raises(RuntimeError, match="rank 1 lost its connection to rank 0"):
            waiting.result()


@pytest.mark.parametrize("values", [np.ones(3, np.float32), np.ones((4, 2)).T, [1.0]])
def test_only_plain_float64_arrays_are_summed_in_place(values: object) -> None:
    with pytest.raises(TypeError):
        exchanges(1)[0].add_up(values)


def hears(announced: int, most: int, content: bytes = b"") -> str:
    """What the first of two ranks raises when the other one announces so many bytes, and goes."""
    here, there = socket.socketpair()
    with there:
        there.sendall(struct.pack("=Q", announced) + content)
    with pytest.raises(RuntimeError) as error:
        Exchange(0, 2, [here.detach()]).tell(b"", most)
    return str(error.value)


@pytest.mark.parametrize("announced", [101, 1 << 33, (1 << 64) - 1])
def test_a_size_that_is_too_large_is_refused(announced: int) -> None:
    line = f"rank 1 announces a message of {announced} bytes where there may be 100"
    assert hears(announced, 100, b"x" * 50) == line


def test_memory_is_taken_for_what_has_come() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert hears(1 << 33, 1 << 33, b"x" * 1000) == "rank 0 lost its connection to rank 1"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB


def test_a_silent_rank_is_named_where_there_is_a_limit() -> None:
    here, there = socket.socketpair()
    with there:
        exchange = Exchange(0, 2, [here.detach()])
        exchange.limit(0.1)
        with pytest.raises(RuntimeError, match="rank 0 lost its connection to rank 1"):
            exchange.tell(b"", 1)
