"""Ranks as threads of this process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.launched import free_port
from yolo.distributed.ranks import Ranks
from yolo.distributed.rendezvous.job import Job
from yolo.distributed.rendezvous.meet import Rendezvous
from yolo.distributed.rendezvous.meet import meet as meet_as
from yolo.native import Exchange


def job(rank: int, ranks: int, port: int, **more: Any) -> Job:
    """One of this machine alone, where nothing else is said."""
    return Job(**{"ranks": Ranks(rank, ranks), "host": "127.0.0.1", "port": port, "local": True, **more})


def meet(ranks: int, seconds: float = 20.0, **more: Any) -> list[Rendezvous]:
    """The meetings of all ranks."""
    port = free_port()
    return together([lambda rank=rank: meet_as(job(rank, ranks, port, **more), seconds) for rank in range(ranks)])


def exchanges(ranks: int) -> list[Exchange]:
    return [rendezvous.exchange() for rendezvous in meet(ranks)]


def together(calls: list[Callable[[], Any]]) -> list[Any]:
    """What the calls give, each made by a thread of its own."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
