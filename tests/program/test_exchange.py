"""Sums over ranks by sockets: right for any number of ranks, the same each time, and never waiting for ever."""

from __future__ import annotations

import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from yolo._program import ExchangeListener, connect_exchange

TOKEN = 12345


def meet(ranks: int, seconds: float = 20.0) -> list:
    """The exchanges of all ranks."""
    listener = ExchangeListener(TOKEN)
    with ThreadPoolExecutor(ranks) as pool:
        first = pool.submit(listener.accept, ranks, seconds)
        others = [
            pool.submit(connect_exchange, "127.0.0.1", listener.port, TOKEN, rank, ranks, seconds)
            for rank in range(1, ranks)
        ]
        return [first.result(), *(other.result() for other in others)]


def add_up(exchanges: list, values: list[np.ndarray]) -> list[np.ndarray]:
    copies = [value.copy() for value in values]
    with ThreadPoolExecutor(len(copies)) as pool:
        list(pool.map(lambda pair: pair[0].add_up(pair[1]), zip(exchanges, copies)))
    return copies


@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
@pytest.mark.parametrize("count", [1, 7, 4096, 100_000])
def test_everyone_gets_the_sum_in_the_order_of_ranks(ranks: int, count: int) -> None:
    rng = np.random.default_rng(count)
    values = [rng.normal(size=count) * 10.0 ** rng.integers(-8, 8) for _ in range(ranks)]
    expected = values[0].copy()
    for value in values[1:]:
        expected += value
    exchanges = meet(ranks)
    for _ in range(3):
        for got in add_up(exchanges, values):
            np.testing.assert_array_equal(got, expected)


def test_a_rank_that_goes_is_named() -> None:
    exchanges = meet(3)
    del exchanges[2]
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(exchange.add_up, np.ones(4)) for exchange in exchanges]
        with pytest.raises(RuntimeError, match="rank 0 hears nothing from rank 2: the connection is lost"):
            jobs[0].result()
        del exchanges[0]
        with pytest.raises(RuntimeError, match="rank 1 hears nothing from rank 0"):
            jobs[1].result()


def test_a_silent_rank_is_named_in_time() -> None:
    exchanges = meet(2, seconds=0.5)
    begin = time.monotonic()
    with pytest.raises(RuntimeError, match="rank 0 hears nothing from rank 1: it is silent"):
        exchanges[0].add_up(np.ones(4))
    assert time.monotonic() - begin < 30


def test_a_rank_that_never_comes() -> None:
    with pytest.raises(RuntimeError, match="1 of 2 ranks did not connect to rank 0"):
        ExchangeListener(TOKEN).accept(2, 0.2)
    with pytest.raises(RuntimeError, match=r"rank 1 cannot reach rank 0 at 127\.0\.0\.1:1"):
        connect_exchange("127.0.0.1", 1, TOKEN, 1, 2, 0.2)
    with pytest.raises(RuntimeError, match="rank 0's address is unknown"):
        connect_exchange("no.such.host.invalid", 1, TOKEN, 1, 2, 0.2)


def test_strangers_are_not_let_in() -> None:
    listener = ExchangeListener(TOKEN)
    strangers = [struct.pack("=QQ", TOKEN + 1, 1), struct.pack("=Qq", TOKEN, 0), struct.pack("=Qq", TOKEN, 9), b"GET"]

    def intrude() -> None:
        for greeting in strangers:
            with socket.create_connection(("127.0.0.1", listener.port)) as stranger:
                stranger.sendall(greeting)

    threading.Thread(target=intrude).start()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(listener.accept, 2, 20.0)
        other = pool.submit(connect_exchange, "127.0.0.1", listener.port, TOKEN, 1, 2, 20.0)
        exchanges = [first.result(), other.result()]
    assert [got.tolist() for got in add_up(exchanges, [np.ones(2), np.ones(2)])] == [[2.0, 2.0]] * 2


@pytest.mark.parametrize("values", [np.ones(3, np.float32), np.ones((4, 2)).T, [1.0]])
def test_only_plain_float64_arrays_are_summed_in_place(values: object) -> None:
    with pytest.raises(TypeError):
        meet(1)[0].add_up(values)
