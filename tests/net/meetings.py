"""Ranks as threads of this process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.launched import free_port
from yolo._program import Exchange, Meeting


def meet(ranks: int, seconds: float = 20.0) -> list[Meeting]:
    """The meetings of all ranks."""
    port = free_port()
    with ThreadPoolExecutor(ranks) as pool:
        return list(pool.map(lambda rank: Meeting("127.0.0.1", port, rank, ranks, seconds), range(ranks)))


def exchanges(ranks: int) -> list[Exchange]:
    return [meeting.exchange() for meeting in meet(ranks)]


def together(calls: list[Callable[[], Any]]) -> list[Any]:
    """What the calls give, each made by a thread of its own."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
