"""The first rank's side of the rendezvous: it hears everybody at once and takes in who proves to belong here."""

from __future__ import annotations

import asyncio
import collections
import secrets
import socket

from yolo.distributed.rendezvous.greeting import (
    CHANNELS,
    CLAIM_BYTES,
    NO_JOB,
    Claim,
    StrangerError,
    Verdict,
    hello,
    read_claim,
)
from yolo.distributed.rendezvous.job import SECRET, Job
from yolo.distributed.rendezvous.lock import PortTakenError, is_own_user
from yolo.distributed.rendezvous.talk import GREETING_SECONDS, closed_by_peer, hasten, receive, rendezvous_name, send

_MOST_GUESTS = 256
_PAUSE = 0.05


class Door:
    """Open until all seats, ranks times channels, are taken. Raises PortTakenError."""

    def __init__(self, job: Job) -> None:
        self._job, self._number = job, secrets.token_bytes(len(NO_JOB))
        self._seats: dict[tuple[int, int], socket.socket] = {}
        self._being_told: set[tuple[int, int]] = set()  # that they have one
        self._guests: collections.OrderedDict[asyncio.Task, socket.socket] = collections.OrderedDict()
        self._refused: collections.Counter[str] = collections.Counter()
        self._listener = _listen(job)
        self._all_here = asyncio.Event()

    async def receive_all(self, seconds: float) -> list[list[socket.socket]]:
        """The connections of the other ranks in order, by channel. Raises RuntimeError where somebody does not come."""
        accepting = asyncio.create_task(self._accept())
        try:
            if self.absent():
                await asyncio.wait_for(self._all_here.wait(), seconds)
        except asyncio.TimeoutError:
            for seat in self._seats.values():
                seat.close()
            raise RuntimeError(self._who_did_not_come(seconds)) from None
        finally:
            for task in (accepting, *self._guests):
                task.cancel()
            await asyncio.gather(accepting, *self._guests, return_exceptions=True)
            self._listener.close()
        ranks = range(1, self._job.ranks.count)
        return [[self._seats[rank, channel] for rank in ranks] for channel in range(CHANNELS)]

    def absent(self) -> str:
        """The numbers of those who have not come, as text."""
        ranks = range(1, self._job.ranks.count)
        return ", ".join(str(rank) for rank in ranks if any((rank, c) not in self._seats for c in range(CHANNELS)))

    def _who_did_not_come(self, seconds: float) -> str:
        line = f"of {self._job.ranks.count} ranks these did not connect within {int(seconds)} s: {self.absent()}"
        turned_away = ", ".join(f"{count} {why}" for why, count in sorted(self._refused.items()))
        return f"{line} (turned away: {turned_away})" if turned_away else line

    async def _accept(self) -> None:
        while True:
            try:
                guest, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            except OSError:  # gone again, or too many files are open
                await asyncio.sleep(_PAUSE)
                continue
            task = asyncio.create_task(self._greet(guest))
            self._guests[task] = guest
            task.add_done_callback(self._guests.pop)
            if len(self._guests) > max(_MOST_GUESTS, 2 * CHANNELS * self._job.ranks.count):
                next(iter(self._guests)).cancel()  # who has been silent for longest

    async def _greet(self, guest: socket.socket) -> None:
        try:
            await asyncio.wait_for(self._hear(guest), GREETING_SECONDS)
        except (StrangerError, EOFError, asyncio.TimeoutError, OSError):
            self._refused["that did not speak the ranks' protocol"] += 1
        finally:
            if guest not in self._seats.values():
                guest.close()
        if not self.absent():
            self._all_here.set()

    async def _hear(self, guest: socket.socket) -> None:
        job = self._job
        if guest.family == socket.AF_UNIX and not job.secret and not is_own_user(guest):
            self._refused["of another user"] += 1
            return
        hasten(guest)
        nonce, message = hello()
        await send(guest, message)
        claim, proved = read_claim(await receive(guest, CLAIM_BYTES), job.secret, nonce)
        verdict = self._judge(claim, proved)
        answer = claim.answer(job.secret, nonce, verdict, job.ranks.count, self._number)
        if verdict is not Verdict.WELCOME:
            self._refused[_WHY[verdict]] += 1
            await send(guest, answer)
            return
        place = claim.rank, claim.channel
        self._being_told.add(place)
        try:
            await send(guest, answer)
            if before := self._seats.get(place):
                before.close()
            self._seats[place] = guest
        finally:
            self._being_told.discard(place)

    def _judge(self, claim: Claim, proved: bool) -> Verdict:
        job = self._job
        if not proved:
            return Verdict.OTHER_SECRET
        if claim.launcher != job.launcher_digest or claim.job != (self._number if claim.channel else NO_JOB):
            return Verdict.OTHER_JOB
        if claim.count != job.ranks.count:
            return Verdict.OTHER_COUNT
        if not (0 < claim.rank < claim.count and 0 <= claim.channel < CHANNELS):
            raise StrangerError
        place = claim.rank, claim.channel
        seat = self._seats.get(place)
        taken = place in self._being_told or (seat is not None and not closed_by_peer(seat))
        return Verdict.TAKEN if taken else Verdict.WELCOME


_WHY = {
    Verdict.OTHER_SECRET: f"without this job's {SECRET}",
    Verdict.OTHER_COUNT: "of a job with another number of ranks",
    Verdict.OTHER_JOB: "of another job",
    Verdict.TAKEN: "with the number of a rank that is here",
}


def _listen(job: Job) -> socket.socket:
    if job.local:
        listener, address = socket.socket(socket.AF_UNIX), rendezvous_name(job.port)
    else:
        listener, address = socket.socket(), ("", job.port + 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that a run has just left is free
    try:
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise PortTakenError(f"port {job.ports[-1]}: {error.strerror}") from error
    listener.setblocking(False)
    return listener
