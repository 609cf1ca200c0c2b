"""Ranks find each other, strangers are not let in and delay nobody, and nobody waits for ever."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.launched import ROOT, free_port
from tests.meeting.meetings import job, together
from tests.meeting.meetings import meet as meet_all
from yolo.meeting import talk
from yolo.meeting.greeting import ANSWER_BYTES, CLAIM_BYTES, HELLO_BYTES, NO_JOB, Claim, Verdict, hello, read_hello
from yolo.meeting.job import Job
from yolo.meeting.lock import PortTakenError
from yolo.meeting.meet import Meeting, meet
from yolo.meeting.visit import RefusedError

SECRET = b"a secret of the job's"
APART = {"local": False, "secret": SECRET}
"""What is said of a job across machines; its ranks are here nevertheless."""
BOTH = pytest.mark.parametrize("how", [{}, APART], ids=["one machine", "across machines"])


def knock(own: Job) -> socket.socket:
    """A connection to where the first rank hears the others, as soon as it does."""
    while True:
        peer = socket.socket(socket.AF_UNIX if own.local else socket.AF_INET)
        with contextlib.suppress(ConnectionRefusedError):
            peer.connect(talk.meeting_name(own.port) if own.local else (own.host, own.port + 1))
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


@BOTH
@pytest.mark.parametrize("ranks", [1, 2, 9])
def test_all_meet(how: dict[str, Any], ranks: int) -> None:
    meetings = meet_all(ranks, **how)
    linked = [meeting.exchange() for meeting in meetings]
    told = together([functools.partial(rank.tell, bytes([n]), 10) for n, rank in enumerate(linked)])
    assert told == [[bytes([n]) for n in range(ranks)]] * ranks


@BOTH
def test_the_late_and_the_early_meet(how: dict[str, Any]) -> None:
    port = free_port()
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(meet, job(1, 2, port, **{**how, "host": "localhost"}), 20.0)
        time.sleep(0.1)
        meet(job(0, 2, port, **how), 20.0)
        early.result()


@BOTH
def test_those_who_do_not_come_are_named(how: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match=r"^of 3 ranks these did not come within 0 s: 1, 2$"):
        meet(job(0, 3, free_port(), **how), 0.2)
    with pytest.raises(RuntimeError, match=r"^rank 1 cannot reach rank 0 at 127\.0\.0\.1:\d+ within 0 s$"):
        meet(job(1, 2, free_port(), **how), 0.2)


def test_a_host_without_an_address_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"no\.such\.host\.invalid has no address"):
        meet(job(1, 2, 1000, host="no.such.host.invalid", local=False), 0.3)


WAITING = """
import sys
from tests.meeting.meetings import job
from yolo.meeting import meet, words
said = words.signal.signal
words.signal.signal = lambda *given: said(*given) if print(flush=True) is None else None
meet.meet(job(int(sys.argv[2]), 3, int(sys.argv[1])), 20.0)
"""


@pytest.mark.parametrize("rank, others", [(0, "1, 2"), (1, "0")])
def test_who_is_told_to_end_says_for_whom_it_waits(rank: int, others: str) -> None:
    command = [sys.executable, "-c", WAITING, str(free_port()), str(rank)]
    waiting = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    waiting.stdout.readline()  # it is about to be ready
    time.sleep(0.3)
    waiting.terminate()
    _, text = waiting.communicate(timeout=20)
    assert waiting.returncode == -signal.SIGTERM
    what = f"rank {rank} is told to end while it still waits for rank {others}"
    assert text == f"yolo: {what}. Start the command again.\n"


def test_a_handler_of_ones_own_stays() -> None:
    noted = []
    former = signal.signal(signal.SIGTERM, lambda number, frame: noted.append(number))
    try:
        with ThreadPoolExecutor(1) as pool:
            port = free_port()
            pool.submit(meet, job(1, 2, port), 20.0)
            meet(job(0, 2, port), 20.0)
        os.kill(os.getpid(), signal.SIGTERM)
        assert noted == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, former)
    meet(job(0, 1, free_port()), 20.0)
    assert signal.getsignal(signal.SIGTERM) == former


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        for own in (job(0, 2, port), job(0, 2, port - 1, **APART)):
            with pytest.raises(PortTakenError, match=f"port {port}: Address already in use"):
                meet(own, 5.0)


def test_ranks_of_one_machine_open_no_port() -> None:
    def look(own: Job) -> list[int]:
        knock(own).close()
        results = []
        for port in (own.port, own.port + 1):
            with socket.socket() as peer:
                results.append(peer.connect_ex(("127.0.0.1", port)))
        return results

    assert 0 not in meets_beside({}, look)


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

    monkeypatch.setattr("yolo.meeting.door.is_own_user", lambda peer: next(visitors, own_user) == own_user)
    assert meets_beside({}, look) == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_the_kernel_says_which_user_knocks() -> None:
    script = (
        "import os, socket, sys; os.setuid(65534); peer = socket.socket(socket.AF_UNIX); "
        "peer.connect('\\0' + sys.argv[1]); print(peer.recv(1))"
    )

    def look(own: Job) -> str:
        knock(own).close()
        command = [sys.executable, "-S", "-c", script, talk.meeting_name(own.port)[1:]]
        return subprocess.run(command, capture_output=True, text=True).stdout

    assert meets_beside({}, look) == "b''\n"


def test_a_rank_does_not_sit_down_with_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has taken the place before the first rank of this user could."""
    port = free_port()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(talk.meeting_name(port))
        other.listen()
        monkeypatch.setattr("yolo.meeting.visit.is_own_user", lambda peer: False)
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


def refused(own: Job) -> RefusedError:
    with pytest.raises(RefusedError) as refusal:
        meet(own, 20.0)
    return refusal.value


def test_a_rank_with_another_secret_is_told() -> None:
    found = meets_beside(APART, lambda own: refused(job(1, 2, own.port, local=False, secret=b"another one, as long")))
    assert re.fullmatch(r"rank 0 at 127\.0\.0\.1:\d+ has not the YOLO_JOB_SECRET of rank 1", str(found))
    assert found.mend == "give all ranks the same YOLO_JOB_SECRET, or none"


def test_who_was_turned_away_is_counted() -> None:
    port = free_port()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(meet, job(0, 2, port, **APART), 1.0)
        refused(job(1, 2, port, local=False))
        knock(job(1, 2, port, **APART)).close()
        with pytest.raises(RuntimeError) as error:
            waiting.result()
    line = "(turned away: 1 that said nothing a rank says, 1 without this job's YOLO_JOB_SECRET)"
    assert str(error.value) == f"of 2 ranks these did not come within 1 s: 1 {line}"


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
    monkeypatch.setattr("yolo.meeting.door.GREETING_SECONDS", 0.2)

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


def test_two_jobs_on_one_port_are_one_too_many() -> None:
    """The second one's ranks are refused by name, whichever comes first; the first one's meet."""
    port = free_port()
    one, two = ([job(rank, 2, port, launcher=launcher) for rank in range(2)] for launcher in ("a", "b"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(meet, one[0], 20.0)
        knock(one[1]).close()
        late = refused(two[1])
        other = rf"another job \(process {os.getpid()} of user \S+\)"
        assert re.fullmatch(rf"rank 0 at 127\.0\.0\.1:{port} is of another job: {other} has port {port}", str(late))
        assert f"--master_port {port + 1000} " in late.mend
        with pytest.raises(PortTakenError, match=f"port {port} is in use: {other} has it"):
            meet(two[0], 20.0)
        meetings: list[Meeting] = [meet(one[1], 20.0), waiting.result()]
    with pytest.raises(PortTakenError, match=f"port {port} is in use: {other} has it"):
        meet(two[0], 20.0)  # for as long as the job lives
    del meetings, waiting
    meet(job(0, 1, port), 20.0)


def test_two_jobs_across_machines_with_one_secret() -> None:
    """The rank that came first has the seat; who comes too late is told."""
    port = free_port()
    first, second = (job(rank, 2, port, **APART) for rank in range(2))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(meet, first, 20.0)
        meet(second, 20.0)
        with pytest.raises(PortTakenError, match="is in use: another job"):
            meet(first, 20.0)
        waiting.result()


@pytest.mark.parametrize("how, warned", [({}, False), (APART, False), ({"local": False}, True)])
def test_an_open_meeting_is_warned_of_once(how: dict[str, Any], warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "yolo"):
        meet_all(2, **how)
    lines = [record.getMessage() for record in caplog.records]
    line = r"no YOLO_JOB_SECRET is given: whoever reaches port \d+ may join this job; give all ranks the same one"
    assert len(lines) == warned and all(re.fullmatch(line, found) for found in lines)
