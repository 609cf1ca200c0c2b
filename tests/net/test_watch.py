"""A rank that is lost, stopped or at its end with an error ends all ranks, soon, by name."""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

from tests.launched import ROOT, free_port

SCRIPT = """
import ctypes, os, sys, time
from tests.distributed.rendezvous.meetings import job
from yolo.distributed.launcher import start_of
from yolo.distributed.rendezvous.meet import meet
rank, port, patience, deed = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
rendezvous = meet(job(rank, 3, port), 20.0)
processes = list(map(int, rendezvous.exchange().tell(str(os.getpid()).encode(), 100)))
starts = [start_of(number) + (deed == "another start") for number in processes]
near = [(number, start) if deed != "far" else (0, 0) for number, start in zip(processes, starts)]
watch = rendezvous.watch([f"host {number}" for number in processes], near, patience)
watch.advise("go on with: --resume")
print("ready", flush=True)
sys.stdin.readline()
if deed == "end":
    watch.end("disk full")
if deed.startswith("leave"):
    watch.leave()
    if deed.endswith("abort"):
        os.abort()
    time.sleep(0.5)
    sys.exit(0)
if deed == "hush":
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
if deed == "die":
    os._exit(9)
if deed == "abort":
    os.abort()
if deed.startswith("be "):
    watch.limit(0.3, "OneFlow has not connected the ranks")
if deed == "be long":
    ctypes.PyDLL(None).sleep(60)  # nothing else of Python runs meanwhile
if deed == "be quick":
    watch.limit(0.0, "")
    time.sleep(1)
    watch.leave()
    sys.exit(0)
time.sleep(60)
"""


class Run:
    """Three ranks, of which one does something and the others wait."""

    def __init__(self, culprit: int, deed: str, patience: float = 20.0, others: str = "wait") -> None:
        port = free_port()
        deeds = [deed if rank == culprit else others for rank in range(3)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.ranks = [
            subprocess.Popen(
                [sys.executable, "-c", SCRIPT, str(rank), str(port), str(patience), deed],
                **pipes,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            for rank, deed in enumerate(deeds)
        ]
        for rank in self.ranks:
            assert rank.stdout.readline() == "ready\n", rank.stderr.read()

    def go(self, *ranks: int) -> None:
        for rank in ranks:
            self.ranks[rank].stdin.write("\n")
            self.ranks[rank].stdin.flush()

    def wait(self, seconds: float = 60.0) -> list[tuple[int, str]]:
        """Exit code and stderr of each rank."""
        found = []
        for rank in self.ranks:
            try:
                _, text = rank.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                rank.kill()
                raise
            found.append((rank.returncode, text))
        return found


@pytest.mark.parametrize("culprit", [0, 1, 2])
@pytest.mark.parametrize("deed, why", [("die", "is gone: its connection closed"), ("end", ": disk full")])
def test_a_rank_that_ends_ends_all(culprit: int, deed: str, why: str) -> None:
    run = Run(culprit, deed)
    run.go(culprit)
    found = run.wait()
    for rank, (code, text) in enumerate(found):
        if rank == culprit and deed == "die":
            assert (code, text) == (9, "")
            continue
        assert code == 1
        line = rf"yolo: rank {culprit} \(\S+ \d+\)\s?{re.escape(why)}; rank {rank} ends, as all ranks do\."
        assert re.fullmatch(line + r" go on with: --resume\n", text), text


@pytest.mark.parametrize("culprit", [0, 2])
def test_what_takes_too_long_ends_all(culprit: int) -> None:
    """As OneFlow's start, when it waits for a rank that it cannot reach and holds Python up."""
    run = Run(culprit, "be long")
    run.go(culprit)
    for rank, (code, text) in enumerate(run.wait()):
        who = rf"yolo: rank {culprit} \(\S+ \d+\): OneFlow has not connected the ranks"
        line = rf"{who}; rank {rank} ends, as all ranks do\. go on with: --resume\n"
        assert code == 1 and re.fullmatch(line, text), text


def test_what_is_over_in_time_ends_nobody() -> None:
    run = Run(1, "be quick", others="be quick")
    run.go(0, 1, 2)
    assert run.wait() == [(0, "")] * 3


@pytest.mark.parametrize("culprit", [0, 2])
def test_a_rank_that_is_aborted_is_named_by_all(culprit: int) -> None:
    run = Run(culprit, "abort")
    run.go(culprit)
    for rank, (code, text) in enumerate(run.wait()):
        assert code == 1
        line = rf"yolo: rank {culprit} \(\S+ \d+\): aborted, for the reason above; rank {rank} ends, as all ranks do\."
        assert re.fullmatch(line + r" go on with: --resume\n", text), text


@pytest.mark.parametrize("culprit, victim", [(0, 2), (2, 0)])
@pytest.mark.parametrize("number, why", [(signal.SIGKILL, "is gone"), (signal.SIGSTOP, "has said nothing for 4 s")])
def test_an_abort_after_the_loss_of_another_does_not_hide_it(
    culprit: int, victim: int, number: signal.Signals, why: str
) -> None:
    """As OneFlow does it, at once or when it has waited for long."""
    run = Run(victim, "abort")
    run.ranks[culprit].send_signal(number)
    run.go(victim)
    found = run.wait()
    assert found.pop(culprit)[0] == -signal.SIGKILL
    assert [code for code, _ in found] == [1, 1]
    assert all(f"rank {culprit} (" in text and "aborted" not in text for _, text in found)
    assert any(why in text for _, text in found)


def test_after_leaving_an_abort_is_one() -> None:
    run = Run(1, "leave and abort", others="leave")
    run.go(1)
    time.sleep(1)
    run.go(0, 2)
    assert [code for code, _ in run.wait()] == [0, -signal.SIGABRT, 0]


def test_what_is_said_is_heard_while_stderr_leads_to_nowhere() -> None:
    """As it does while OneFlow loads."""
    run = Run(1, "die", others="hush")
    run.go(0, 2)
    time.sleep(0.5)
    run.go(1)
    found = run.wait()
    assert all(code == 1 and "yolo: rank 1 (" in text for code, text in (found[0], found[2]))


@pytest.mark.parametrize("culprit", [0, 2])
def test_a_stopped_rank_ends_all_and_does_not_stay_behind(culprit: int) -> None:
    run = Run(culprit, "wait", patience=3.0)
    run.ranks[culprit].send_signal(signal.SIGSTOP)
    found = run.wait()
    code, _ = found.pop(culprit)
    assert code == -signal.SIGKILL
    assert [code for code, _ in found] == [1, 1] and all(f"rank {culprit} (" in text for _, text in found)
    assert any("has said nothing for 3 s" in text for _, text in found)  # another may see that it was killed for that


@pytest.mark.parametrize("how", ["far", "another start"])
def test_a_stopped_rank_that_is_not_surely_ours_is_not_killed(how: str) -> None:
    """Its number may be that of any process here. It ends by itself as soon as it goes on."""
    run = Run(2, how, patience=3.0, others=how)
    far = run.ranks[2]
    far.send_signal(signal.SIGSTOP)
    for rank in run.ranks[:2]:
        assert "rank 2 (" in rank.communicate(timeout=60)[1] and rank.returncode == 1
    assert far.poll() is None
    far.send_signal(signal.SIGCONT)
    assert "rank 0 (" in far.communicate(timeout=60)[1] and far.returncode == 1


@pytest.mark.parametrize("order", [(1, 2, 0), (0, 1, 2)])
def test_all_leave_together(order: tuple[int, ...]) -> None:
    run = Run(1, "leave", others="leave")
    for rank in order:
        assert [rank.poll() for rank in run.ranks] == [None] * 3
        run.go(rank)
        time.sleep(0.5)
    assert run.wait() == [(0, "")] * 3


@pytest.mark.parametrize("culprit, busy", [(1, 0), (0, 2)])
@pytest.mark.parametrize("number, why", [(signal.SIGKILL, "is gone"), (signal.SIGSTOP, "has said nothing for 3 s")])
def test_a_rank_is_watched_until_all_have_done_their_work(
    culprit: int, busy: int, number: signal.Signals, why: str
) -> None:
    run = Run(1, "leave", patience=3.0, others="leave")
    run.go(*{0, 1, 2} - {busy})
    time.sleep(0.5)
    run.ranks[culprit].send_signal(number)
    found = run.wait()
    assert found.pop(culprit)[0] == -signal.SIGKILL
    assert any(code == 1 and f"rank {culprit} (" in text and why in text for code, text in found)
    # The busy one ends its work when its stdin closes, and may have let the third one go.
    assert all((code, text) == (0, "") or (code == 1 and f"rank {culprit} (" in text) for code, text in found)


def test_a_busy_rank_is_not_taken_for_a_silent_one() -> None:
    run = Run(1, "leave", patience=4.0, others="leave")
    time.sleep(6)
    assert [rank.poll() for rank in run.ranks] == [None] * 3
    run.go(0, 1, 2)
    assert run.wait() == [(0, "")] * 3


def watched(words: bytes, near: list[tuple[int, int]]) -> tuple[int, str]:
    """How a process ends that is rank 1 of two when the first one says that."""
    here, there = socket.socketpair()
    script = (
        "import sys, time; from yolo.native import Watch\n"
        f"watch = Watch(1, [{there.fileno()}], ['a 1', 'b 2'], {near}, 20.0)\n"
        "time.sleep(60)"
    )
    with here, there:
        process = subprocess.Popen(
            [sys.executable, "-c", script], pass_fds=[there.fileno()], stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        there.close()
        here.sendall(words)
        _, text = process.communicate(timeout=30)
    return process.returncode, text


def message(kind: bytes, text: bytes) -> bytes:
    return kind + struct.pack("=I", len(text)) + text


GONE = "yolo: rank 0 (a 1) is gone: its connection closed; rank 1 ends, as all ranks do.\n"


@pytest.mark.parametrize(
    "words, said",
    [
        (message(b"s", b"7\nit is over"), "yolo: it is over; rank 1 ends, as all ranks do.\n"),
        (message(b"s", b"-3\nit is over"), "yolo: it is over; rank 1 ends, as all ranks do.\n"),
        (message(b"s", b"99999999999999999999\nx"), "yolo: x; rank 1 ends, as all ranks do.\n"),
        (message(b"s", b"0\na\x1b[2J\rb\nc"), "yolo: a [2J b c; rank 1 ends, as all ranks do.\n"),
        (message(b"e", b"x\x07y"), "yolo: rank 0 (a 1): x y; rank 1 ends, as all ranks do.\n"),
        (b"e" + struct.pack("=I", 1 << 31), GONE),
    ],
)
def test_what_another_rank_says_is_bounded(words: bytes, said: str) -> None:
    """A rank that there is not, what a terminal would obey, more than fits."""
    assert watched(words, [(0, 0), (0, 0)]) == (1, said)


def test_a_number_that_another_rank_names_kills_nobody() -> None:
    with subprocess.Popen(["sleep", "60"]) as foreign:
        code, _ = watched(message(b"s", f"{foreign.pid}\nover".encode()), [(0, 0), (0, 0)])
        assert code == 1 and foreign.poll() is None
        foreign.terminate()
        assert foreign.wait() == -signal.SIGTERM
