"""Who comes to a meeting besides the ranks, and how it goes on beside them."""

from __future__ import annotations

import contextlib
import functools
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.distributed.rendezvous.meetings import job, together
from tests.launched import free_port
from yolo.distributed.rendezvous import talk
from yolo.distributed.rendezvous.greeting import ANSWER_BYTES, HELLO_BYTES, Claim, Verdict, read_hello
from yolo.distributed.rendezvous.job import Job
from yolo.distributed.rendezvous.meet import meet
from yolo.distributed.rendezvous.visit import RefusedError

SECRET = b"a secret of the job's"
APART = {"local": False, "secret": SECRET}
"""What is said of a job across machines; its ranks are here nevertheless."""
BOTH = pytest.mark.parametrize("how", [{}, APART], ids=["one machine", "across machines"])


def knock(own: Job) -> socket.socket:
    """A connection to where the first rank hears the others, as soon as it does."""
    while True:
        peer = socket.socket(socket.AF_UNIX if own.local else socket.AF_INET)
        with contextlib.suppress(ConnectionRefusedError):
            peer.connect(talk.rendezvous_name(own.port) if own.local else (own.host, own.port + 1))
            peer.settimeout(20)
            return peer
        peer.close()
        time.sleep(0.005)


def received(peer: socket.socket, size: int) -> bytes:
    message = b""
    while len(message) < size and (more := peer.recv(size - len(message))):
        message += more
    return message


def closed(peer: socket.socket) -> bool:
    """Whether the other end closes it, whatever it says before."""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while peer.recv(4096):
            pass
    return True


def say(own: Job, claim: Claim, secret: bytes) -> tuple[socket.socket, Verdict]:
    """What the first rank answers to that."""
    peer = knock(own)
    nonce = read_hello(received(peer, HELLO_BYTES))
    peer.sendall(claim.packed(secret, nonce))
    return peer, claim.read_answer(secret, nonce, received(peer, ANSWER_BYTES))[0]


def meets_beside(how: dict[str, Any], stranger: Callable[[Job], Any], seconds: float = 20.0) -> Any:
    """Two ranks meet, the second only when a stranger has done something; they talk. What the stranger gives."""
    port = free_port()
    first, second = (job(rank, 2, port, **how) for rank in range(2))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(meet, first, seconds)
        found = stranger(second)
        linked = [rank.exchange() for rank in (meet(second, seconds), waiting.result())]
    told = together([functools.partial(rank.tell, b"x", 10) for rank in linked])
    assert told == [[b"x", b"x"]] * 2
    return found


def refused(own: Job) -> RefusedError:
    with pytest.raises(RefusedError) as refusal:
        meet(own, 20.0)
    return refusal.value
