"""A job's port is its own for as long as it lives, and who comes later learns who has it."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys

import pytest

from tests.launched import ROOT, free_port
from yolo.distributed.rendezvous.lock import PortTakenError, credentials, hold, holder, is_own_user, refuse_taken


def test_the_second_one_learns_who_has_the_port() -> None:
    port = free_port()
    user = pwd.getpwuid(os.geteuid()).pw_name
    line = rf"^port {port} is in use: another job \(process {os.getpid()} of user {user}\) has it$"
    with hold(port), hold(port + 1), pytest.raises(PortTakenError, match=line):
        hold(port)
    hold(port).close()


HOLDING = """
import subprocess, sys
from yolo.distributed.rendezvous.lock import hold
lock = hold(int(sys.argv[1]))
print(subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL).pid, flush=True)
sys.stdin.readline()
"""


def test_it_is_free_as_soon_as_its_process_is_gone() -> None:
    """Killed, with a child that stays."""
    port = free_port()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(port)], **pipes, text=True, cwd=ROOT)
    child = int(process.stdout.readline())
    try:
        with pytest.raises(PortTakenError, match=f"process {process.pid} of "):
            hold(port)
        process.kill()
        process.communicate()
        hold(port).close()
    finally:
        os.kill(child, signal.SIGKILL)


def test_many_who_ask_do_not_make_it_silent() -> None:
    port = free_port()
    with hold(port):
        for _ in range(100):
            assert f"process {os.getpid()}" in holder(port)
    assert holder(port) == "another job"


def test_a_program_that_listens_is_noticed() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as OneFlow does
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"port {port}: Address already in use"):
            refuse_taken(port)
    refuse_taken(free_port())


def test_whose_process_is_at_the_other_end_is_the_kernels_word(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = socket.socketpair()
    with here, there:
        assert credentials(here) == (os.getpid(), os.geteuid()) and is_own_user(there)
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
        assert not is_own_user(here)
