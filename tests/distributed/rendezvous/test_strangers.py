"""Nobody takes a rank's seat who does not prove that it is his, and nobody is delayed by one who tries."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.distributed.rendezvous.meetings import job
from tests.distributed.rendezvous.visitors import (
    APART,
    BOTH,
    SECRET,
    closed,
    knock,
    meets_beside,
    received,
    refused,
    say,
)
from tests.launched import free_port
from yolo.distributed.rendezvous import talk
from yolo.distributed.rendezvous.greeting import CLAIM_BYTES, HELLO_BYTES, NO_JOB, Claim, Verdict, hello, read_hello
from yolo.distributed.rendezvous.job import Job
from yolo.distributed.rendezvous.lock import PortTakenError
from yolo.distributed.rendezvous.meet import meet
from yolo.distributed.rendezvous.visit import RefusedError


@BOTH
@pytest.mark.parametrize(
    "words", [b"GET / HTTP/1.1\r\n\r\n" + b" " * CLAIM_BYTES, b"", b"YOLORNK2"], ids=["http", "nothing", "little"]
)
def test_strangers_are_not_let_in(how: dict[str, Any], words: bytes) -> None:
    meets_beside(how, lambda own: knock(own).sendall(words))


@pytest.mark.parametrize("secret", [b"", b"another secret, as long"])
def test_nobody_takes_a_seat_without_the_secret(secret: bytes) -> None:
    def take(own: Job) -> Verdict:
        return say(own, Claim(1, 2, 0, own.launcher_digest), secret)[1]

    assert meets_beside(APART, take) is Verdict.OTHER_SECRET


def test_nobody_takes_a_seat_on_one_machine_as_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a word is said."""
    own_user = os.geteuid()
    visitors = iter([own_user + 1])

    def look(own: Job) -> bytes:
        with knock(own) as peer:
            return received(peer, 1)

    monkeypatch.setattr(
        "yolo.distributed.rendezvous.door.is_own_user", lambda peer: next(visitors, own_user) == own_user
    )
    assert meets_beside({}, look) == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_the_kernel_says_which_user_knocks() -> None:
    script = (
        "import os, socket, sys; os.setuid(65534); peer = socket.socket(socket.AF_UNIX); "
        "peer.connect('\\0' + sys.argv[1]); print(peer.recv(1))"
    )

    def look(own: Job) -> str:
        knock(own).close()
        command = [sys.executable, "-S", "-c", script, talk.rendezvous_name(own.port)[1:]]
        return subprocess.run(command, capture_output=True, text=True).stdout

    assert meets_beside({}, look) == "b''\n"


def test_a_rank_does_not_sit_down_with_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has taken the place before the first rank of this user could."""
    port = free_port()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(talk.rendezvous_name(port))
        other.listen()
        monkeypatch.setattr("yolo.distributed.rendezvous.visit.is_own_user", lambda peer: False)
        with pytest.raises(RefusedError, match=f"another user has the place where ranks meet for port {port}"):
            meet(job(1, 2, port), 20.0)
        with pytest.raises(PortTakenError, match=f"port {port}: Address already in use"):
            meet(job(0, 2, port), 20.0)


def test_a_rank_believes_no_first_rank_without_the_secret() -> None:
    port = free_port()
    own = job(1, 2, port, **APART)
    with socket.socket() as other, ThreadPoolExecutor(1) as pool:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port + 1))
        other.listen()
        found = pool.submit(meet, own, 20.0)
        peer, _ = other.accept()
        with peer:
            nonce, message = hello()
            peer.sendall(message)
            said = received(peer, CLAIM_BYTES)
            assert SECRET not in said
            claim = Claim(1, 2, 0, own.launcher_digest)
            peer.sendall(claim.answer(b"a guess of the secret", nonce, Verdict.WELCOME, 2, bytes(32)))
            with pytest.raises(RefusedError, match=r"has not the YOLO_JOB_SECRET of rank 1$"):
                found.result()


def test_a_rank_with_another_secret_is_told() -> None:
    found = meets_beside(APART, lambda own: refused(job(1, 2, own.port, local=False, secret=b"another one, as long")))
    assert re.fullmatch(r"rank 0 at 127\.0\.0\.1:\d+ has not the YOLO_JOB_SECRET of rank 1", str(found))
    assert found.hint == "give all ranks the same YOLO_JOB_SECRET, or none"


def test_who_was_turned_away_is_counted() -> None:
    port = free_port()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(meet, job(0, 2, port, **APART), 1.0)
        refused(job(1, 2, port, local=False))
        knock(job(1, 2, port, **APART)).close()
        with pytest.raises(RuntimeError) as error:
            waiting.result()
    line = "(turned away: 1 that did not speak the ranks' protocol, 1 without this job's YOLO_JOB_SECRET)"
    assert str(error.value) == f"of 2 ranks these did not connect within 1 s: 1 {line}"


@BOTH
def test_a_rank_that_counts_otherwise_is_told(how: dict[str, Any]) -> None:
    found = meets_beside(how, lambda own: refused(job(1, 3, own.port, **how)))
    assert re.fullmatch(r"rank 0 at 127\.0\.0\.1:\d+ leads 2 ranks, not 3", str(found))


@BOTH
@pytest.mark.parametrize("rank", [0, -1, 2, 1 << 30])
def test_numbers_that_no_rank_has_are_not_let_in(how: dict[str, Any], rank: int) -> None:
    def take(own: Job) -> bool:
        with knock(own) as peer:
            nonce = read_hello(received(peer, HELLO_BYTES))
            peer.sendall(Claim(rank, 2, 0, own.launcher_digest).packed(own.secret, nonce))
            return closed(peer)

    assert meets_beside(how, take)


@BOTH
def test_a_seat_is_taken_once(how: dict[str, Any]) -> None:
    """By a connection that lives; and the second one of a rank proves that it is of this job, with its number."""

    def take(own: Job) -> None:
        claims = [(0, NO_JOB), (0, NO_JOB), (1, NO_JOB), (1, bytes(31) + b"x")]
        peers, verdicts = zip(*(say(own, Claim(1, 2, c, own.launcher_digest, n), own.secret) for c, n in claims))
        assert verdicts == (Verdict.WELCOME, Verdict.TAKEN, Verdict.OTHER_JOB, Verdict.OTHER_JOB)
        assert re.fullmatch(r"rank 0 at \S+ has a rank 1 already", str(refused(own)))
        for peer in peers:
            peer.close()

    meets_beside(how, take)


@BOTH
def test_a_rank_that_lost_its_connection_may_come_again(how: dict[str, Any]) -> None:
    def take(own: Job) -> Verdict:
        peer, verdict = say(own, Claim(1, 2, 0, own.launcher_digest), own.secret)
        peer.close()
        return verdict

    assert meets_beside(how, take) is Verdict.WELCOME


@BOTH
def test_a_deadline_is_the_whole_greetings(how: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not each byte's."""
    monkeypatch.setattr("yolo.distributed.rendezvous.door.GREETING_SECONDS", 0.2)

    def drip(own: Job) -> int:
        said = 0
        with knock(own) as peer, contextlib.suppress(ConnectionError):
            while said < CLAIM_BYTES - 1:
                peer.sendall(b"Y")
                said += 1
                time.sleep(0.05)
        return said

    assert meets_beside(how, drip) < CLAIM_BYTES // 2


@BOTH
def test_silent_strangers_delay_nobody(how: dict[str, Any]) -> None:
    """More of them than are heard at once; one by one they would take half an hour."""
    peers: list[socket.socket] = []
    meets_beside(how, lambda own: peers.extend(knock(own) for _ in range(400)))
    for peer in peers:
        peer.close()
