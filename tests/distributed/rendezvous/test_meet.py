"""Ranks find each other, two jobs do not mix, and nobody waits for ever."""

from __future__ import annotations

import functools
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.distributed.rendezvous.meetings import job, together
from tests.distributed.rendezvous.meetings import meet as meet_all
from tests.distributed.rendezvous.visitors import APART, BOTH, knock, meets_beside, refused
from tests.launched import ROOT, free_port
from yolo.distributed.rendezvous.job import Job
from yolo.distributed.rendezvous.lock import PortTakenError
from yolo.distributed.rendezvous.meet import meet


@BOTH
@pytest.mark.parametrize("ranks", [1, 2, 9])
def test_all_meet(how: dict[str, Any], ranks: int) -> None:
    meetings = meet_all(ranks, **how)
    linked = [rendezvous.exchange() for rendezvous in meetings]
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
    with pytest.raises(RuntimeError, match=r"^of 3 ranks these did not connect within 0 s: 1, 2$"):
        meet(job(0, 3, free_port(), **how), 0.2)
    with pytest.raises(RuntimeError, match=r"^rank 1 cannot reach rank 0 at 127\.0\.0\.1:\d+ within 0 s$"):
        meet(job(1, 2, free_port(), **how), 0.2)


def test_a_host_without_an_address_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"no\.such\.host\.invalid has no address"):
        meet(job(1, 2, 1000, host="no.such.host.invalid", local=False), 0.3)


WAITING = """
import sys
from tests.distributed.rendezvous.meetings import job
from yolo.distributed.rendezvous import meet, words
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
        assert f"--master_port {port + 1000} " in late.hint
        with pytest.raises(PortTakenError, match=f"port {port} is in use: {other} has it"):
            meet(two[0], 20.0)
        meetings = [meet(one[1], 20.0), waiting.result()]
    with pytest.raises(PortTakenError, match=f"port {port} is in use: {other} has it"):
        meet(two[0], 20.0)  # for as long as the job lives
    for meeting in meetings:
        meeting.close()
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
