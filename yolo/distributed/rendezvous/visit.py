"""The other ranks' side of the rendezvous: they look for the first one, prove who they are and ask for the same."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import Any

from yolo.distributed.rendezvous.greeting import (
    ANSWER_BYTES,
    CHANNELS,
    HELLO_BYTES,
    NO_JOB,
    Claim,
    StrangerError,
    Verdict,
    read_hello,
)
from yolo.distributed.rendezvous.job import SECRET, Job
from yolo.distributed.rendezvous.lock import holder, is_own_user
from yolo.distributed.rendezvous.talk import (
    GREETING_SECONDS,
    connected_to_itself,
    hasten,
    receive,
    rendezvous_name,
    send,
)

_BETWEEN_TRIES = 0.05


class RefusedError(Exception):
    """The first rank does not take this one in, or is not of this job; ``hint`` says what to do."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


class Visit:
    """Of one rank that is not the first. Raises RuntimeError for a host without an address."""

    def __init__(self, job: Job) -> None:
        self._job, self._number, self._address = job, NO_JOB, _address(job)

    async def go(self, seconds: float) -> list[list[socket.socket]]:
        """The connection to the first rank, by channel. Raises RefusedError, and RuntimeError where nobody is found."""
        end = time.monotonic() + seconds
        connections: list[list[socket.socket]] = []
        for channel in range(CHANNELS):
            while (found := await self._try(channel)) is None:
                if time.monotonic() > end:
                    raise RuntimeError(self._nobody(seconds))
                await asyncio.sleep(_BETWEEN_TRIES)
            connections.append([found])
        return connections

    async def _try(self, channel: int) -> socket.socket | None:
        """A connection that is taken in; None where nobody answers as a rank does, who may come yet."""
        with contextlib.ExitStack() as closing:
            peer = closing.enter_context(socket.socket(socket.AF_UNIX if self._job.local else socket.AF_INET))
            peer.setblocking(False)
            try:
                await asyncio.wait_for(self._connect(peer), GREETING_SECONDS)
                verdict, count = await asyncio.wait_for(self._greet(peer, channel), GREETING_SECONDS)
            except (StrangerError, EOFError, asyncio.TimeoutError, OSError):
                return None
            if verdict is not Verdict.WELCOME:
                raise self._refusal(verdict, count)
            closing.pop_all()
            return peer

    async def _connect(self, peer: socket.socket) -> None:
        await asyncio.get_running_loop().sock_connect(peer, self._address)
        if connected_to_itself(peer):
            raise StrangerError
        hasten(peer)
        if self._job.local and not self._job.secret and not is_own_user(peer):
            what = f"another user has the place where ranks meet for port {self._job.port}"
            raise RefusedError(what, self._job.another_port)

    async def _greet(self, peer: socket.socket, channel: int) -> tuple[Verdict, int]:
        job = self._job
        nonce = read_hello(await receive(peer, HELLO_BYTES))
        claim = Claim(job.ranks.rank, job.ranks.count, channel, job.launcher_digest, self._number)
        await send(peer, claim.packed(job.secret, nonce))
        answer = await receive(peer, ANSWER_BYTES)
        verdict, count, number = claim.read_answer(job.secret, nonce, answer)
        if verdict is Verdict.WELCOME and channel == 0:
            self._number = number
        return verdict, count

    def _refusal(self, verdict: Verdict, count: int) -> RefusedError:
        job, rank = self._job, self._job.ranks.rank
        whose = f"rank 0 at {job.place}"
        if verdict is Verdict.OTHER_SECRET:
            return RefusedError(
                f"{whose} has not the {SECRET} of rank {rank}", f"give all ranks the same {SECRET}, or none"
            )
        if verdict is Verdict.OTHER_COUNT:
            return RefusedError(f"{whose} leads {count} ranks, not {job.ranks.count}", job.another_port)
        if verdict is Verdict.TAKEN:
            what = f"{whose} has a rank {rank} already"
            return RefusedError(what, f"start each rank once; for another job {job.another_port}")
        whom = f": {holder(job.port)} has port {job.port}" if job.local else ""
        return RefusedError(f"{whose} is of another job{whom}", job.another_port)

    def _nobody(self, seconds: float) -> str:
        job = self._job
        return f"rank {job.ranks.rank} cannot reach rank 0 at {job.place} within {int(seconds)} s"


def _address(job: Job) -> Any:
    if job.local:
        return rendezvous_name(job.port)
    try:
        found = socket.getaddrinfo(job.host, job.port + 1, socket.AF_INET, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise RuntimeError(f"{job.host} has no address") from None
    return found[0][4]
