"""The rendezvous itself: who is here gets connections to all others, or to the first rank, that are proved."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Sequence

from yolo import native
from yolo.distributed.rendezvous.door import Door
from yolo.distributed.rendezvous.job import SECRET, Job
from yolo.distributed.rendezvous.lock import hold, refuse_taken
from yolo.distributed.rendezvous.visit import Visit
from yolo.distributed.rendezvous.words import last_words

logger = logging.getLogger("yolo")


class Rendezvous:
    """What came of it. On the first rank it has the job's ports until ``close``, or the end of the process."""

    def __init__(self, job: Job, channels: Sequence[Sequence[socket.socket]], held: Sequence[socket.socket]) -> None:
        self.ranks, self._held = job.ranks, held
        self._talk, self._pulse = channels
        for peer in (*self._talk, *self._pulse):
            peer.setblocking(True)

    def exchange(self) -> native.Exchange:
        """Once."""
        return native.Exchange(self.ranks.rank, self.ranks.count, [peer.detach() for peer in self._talk])

    def watch(self, hosts: Sequence[str], near: Sequence[tuple[int, int]], patience: float) -> native.Watch:
        """Once. hosts: what each rank is called; near: of each its process and start, (0, 0) for none here."""
        pulse = [peer.detach() for peer in self._pulse]
        return native.Watch(self.ranks.rank, pulse, list(hosts), list(near), patience)

    def close(self) -> None:
        """Give the job's ports back, and the connections that nobody took.

        To drop this object is not enough: an error that the event loop has kept may keep it too, until the garbage
        collector comes by.
        """
        for each in (*self._held, *self._talk, *self._pulse):
            each.close()


def meet(job: Job, seconds: float) -> Rendezvous:
    """Find the other ranks. A process that SIGTERM ends meanwhile says for whom it has waited: a launcher ends all when
    one of its processes has.

    Raises PortTakenError on the first rank where another job or program has its port; RefusedError on another one that
    is not taken in; RuntimeError where not everybody comes within ``seconds``.
    """
    if not job.ranks.first:
        visit = Visit(job)
        with last_words(lambda: _waiting(job, "rank 0")):
            return Rendezvous(job, asyncio.run(visit.go(seconds)), [])
    with contextlib.ExitStack() as closing:
        held = [closing.enter_context(hold(port)) for port in job.ports]
        refuse_taken(job.port)
        if job.open_to_all:
            logger.warning(
                "no %s is given: whoever reaches port %d may join this job; give all ranks the same one",
                SECRET,
                job.port + 1,
            )
        rendezvous = Rendezvous(job, asyncio.run(_receive_all(job, seconds)), held)
        closing.pop_all()
        return rendezvous


async def _receive_all(job: Job, seconds: float) -> list[list[socket.socket]]:
    door = Door(job)
    with last_words(lambda: _waiting(job, f"rank {door.absent()}")):
        return await door.receive_all(seconds)


def _waiting(job: Job, others: str) -> str:
    waits = f"rank {job.ranks.rank} is told to end while it still waits for {others}"
    return f"yolo: {waits}. Start the command again."
