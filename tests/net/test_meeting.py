"""Ranks find each other, strangers are not let in, and nobody waits for ever."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.launched import ROOT, free_port
from tests.net.meetings import meet, together
from yolo._program import Meeting

MARK = 0x594F4C4F52414E4B


def test_the_late_and_the_early_meet() -> None:
    port = free_port()
    early = threading.Thread(target=Meeting, args=("localhost", port, 1, 2, 20.0))
    early.start()
    Meeting("localhost", port, 0, 2, 20.0)
    early.join()


def test_those_who_do_not_come_are_named() -> None:
    with pytest.raises(RuntimeError, match="of 3 ranks these did not come within 0 s: 1, 2"):
        Meeting("127.0.0.1", free_port(), 0, 3, 0.3)
    with pytest.raises(RuntimeError, match=r"rank 1 cannot reach rank 0 at 127\.0\.0\.1:\d+ within 0 s"):
        Meeting("127.0.0.1", free_port(), 1, 2, 0.3)
    with pytest.raises(RuntimeError, match=r"no\.such\.host\.invalid has no address"):
        Meeting("no.such.host.invalid", 1, 1, 2, 0.3)


WAITING = """
import sys
from yolo._program import Meeting
print(flush=True)
Meeting("127.0.0.1", int(sys.argv[1]), int(sys.argv[2]), 3, 20.0)
"""


@pytest.mark.parametrize("rank, others", [(0, "1, 2"), (1, "0")])
def test_who_is_told_to_end_says_for_whom_it_waits(rank: int, others: str) -> None:
    command = [sys.executable, "-c", WAITING, str(free_port()), str(rank)]
    waiting = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    waiting.stdout.readline()
    time.sleep(0.5)
    waiting.terminate()
    _, text = waiting.communicate(timeout=20)
    assert waiting.returncode == -signal.SIGTERM
    what = f"rank {rank} is told to end while it still waits for rank {others}"
    assert text == f"yolo: {what}. Start the command again.\n"


def test_a_handler_of_ones_own_stays() -> None:
    noted = []
    former = signal.signal(signal.SIGTERM, lambda number, frame: noted.append(number))
    try:
        meet(2)
        os.kill(os.getpid(), signal.SIGTERM)
        assert noted == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, former)
    meet(2)
    assert signal.getsignal(signal.SIGTERM) == former


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(RuntimeError, match=f"port {port}: Address already in use"):
            Meeting("127.0.0.1", port, 0, 2, 5.0)


@pytest.mark.parametrize(
    "greeting",
    [
        struct.pack("=Qqqq", MARK + 1, 1, 2, 0),
        struct.pack("=Qqqq", MARK, 0, 2, 0),
        struct.pack("=Qqqq", MARK, 9, 2, 0),
        struct.pack("=Qqqq", MARK, 1, 3, 0),
        b"GET / HTTP/1.1\r\n\r\n" + b" " * 40,
        b"",
    ],
    ids=["mark", "rank 0", "rank 9", "three ranks", "http", "nothing"],
)
def test_strangers_are_not_let_in(greeting: bytes) -> None:
    port = free_port()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(Meeting, "127.0.0.1", port, 0, 2, 20.0)
        with connected(port) as stranger:
            stranger.sendall(greeting)
            second = Meeting("127.0.0.1", port, 1, 2, 20.0)
            linked = [rank.exchange() for rank in (first.result(), second)]
    assert together([functools.partial(rank.tell, b"x") for rank in linked]) == [[b"x", b"x"]] * 2


def connected(port: int) -> socket.socket:
    """A connection to who will soon listen there."""
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port))
        time.sleep(0.01)


def test_many_ranks() -> None:
    assert len(meet(9)) == 9
