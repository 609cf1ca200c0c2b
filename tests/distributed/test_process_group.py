"""How a process begins and ends that is one of several."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.launched import ROOT, free_port
from yolo.distributed.agreement import Agreement
from yolo.distributed.process_group import LONE, RankedGroup, join_group, starting_oneflow
from yolo.distributed.ranks import Ranks
from yolo.distributed.rendezvous.lock import hold
from yolo.errors import DataError, RuntimeSetupError

SCRIPT = """
import atexit, sys
from yolo.distributed.process_group import depart
atexit.register(print, "last words")
class Late:
    def __del__(self):
        print("the interpreter's end")
late = Late()
print("result")
depart(int(sys.argv[1]))
"""


@pytest.mark.parametrize("code", [0, 2])
@pytest.mark.parametrize("count, said", [("1", ["result", "last words", "the interpreter's end"]), ("2", None)])
def test_departing_does_what_was_registered_and_keeps_the_code(code: int, count: str, said: list[str] | None) -> None:
    """Of several, nothing comes behind it."""
    environment = {**os.environ, "WORLD_SIZE": count, "RANK": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(code)], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.splitlines() == (said or ["result", "last words"])


HOSTILE = """
import json, os, sys, time
from tests.distributed.rendezvous.meetings import job
from yolo.distributed import process_group
from yolo.distributed.rendezvous.meet import meet
from yolo.distributed.host import HostInfo
rank, port, foreign = map(int, sys.argv[1:])
if rank == 1:
    own = HostInfo.own()
    HostInfo.own = classmethod(lambda cls: HostInfo(own.host, foreign, own.kernel, own.cores))
process_group.PATIENCE_SECONDS = 2.0
group = process_group.RankedGroup(meet(job(rank, 2, port), 20.0))
print("ready", flush=True)
time.sleep(60)
"""


def test_nothing_that_a_rank_says_has_a_process_killed() -> None:
    """It names a foreign one as its own, and is silent then: that one stays."""
    port = str(free_port())
    with subprocess.Popen(["sleep", "60"]) as foreign:
        ranks = [
            subprocess.Popen(
                [sys.executable, "-c", HOSTILE, str(rank), port, str(foreign.pid)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            for rank in range(2)
        ]
        assert [rank.stdout.readline() for rank in ranks] == ["ready\n"] * 2
        ranks[1].send_signal(signal.SIGSTOP)
        text = ranks[0].communicate(timeout=30)[1]
        assert ranks[0].returncode == 1 and f"{foreign.pid}) has said nothing for 2 s" in text, text
        assert foreign.poll() is None and ranks[1].poll() is None
        ranks[1].send_signal(signal.SIGCONT)  # its own watch ends it
        assert "is gone: its connection closed; rank 1 ends" in ranks[1].communicate(timeout=30)[1]
        foreign.terminate()
        assert foreign.wait() == -signal.SIGTERM


SHARING = """
import sys
from tests.distributed.rendezvous.meetings import job
from yolo import native
from yolo.distributed.process_group import RankedGroup
from yolo.distributed.rendezvous.meet import meet
rank, port = map(int, sys.argv[1:])
group = RankedGroup(meet(job(rank, 2, port), 20.0))
print(native.default_threads())
group.leave()
"""


def test_ranks_with_the_same_cores_have_their_share_of_threads() -> None:
    """Every operator and program takes this number: loss, update, suppression, batch norms."""
    port, environment = str(free_port()), {**os.environ, "PYTHONPATH": str(ROOT)}
    ranks = [
        subprocess.Popen([sys.executable, "-c", SHARING, str(rank), port], stdout=subprocess.PIPE, env=environment)
        for rank in range(2)
    ]
    share = max(len(os.sched_getaffinity(0)) // 2, 1)
    assert [rank.communicate(timeout=60)[0] for rank in ranks] == [f"{share}\n".encode()] * 2


def test_a_lone_process_is_a_group_of_one() -> None:
    """Nothing is sent, nothing copied, and an error stays what it was."""
    with join_group(Ranks()) as group:
        assert group.ranks.first and group.ranks.alone and group.share_of_cores(7) == 7
        given = {"a": np.arange(3), "name": np.array("text")}
        (own,) = group.all_gather(given)
        assert own == given and own is not given and own["a"] is given["a"]
        assert group.all_reduce(np.array([2.5, -1.0])).tolist() == [2.5, -1.0]
        with group.consistent() as facts, group.within(1e-9, "too long"):
            facts["data"] = "mine"
            group.advise("Start the command again.")
        wrong = DataError("no such folder", where="data.yaml", hint="name one")
        with pytest.raises(DataError) as raised, group.consistent():
            raise wrong
        assert raised.value is wrong and not wrong.everywhere


def test_a_lone_process_agrees_with_itself() -> None:
    agreement = Agreement()
    assert agreement.alone and agreement.stop(None) is None and agreement.stop(signal.SIGTERM) == signal.SIGTERM
    assert agreement.first(2.5) == 2.5 and agreement.first(0) == 0


def refusal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> RuntimeSetupError:
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setattr("yolo.distributed.process_group.die_with_launcher", lambda number: None)
    with pytest.raises(RuntimeSetupError) as error, join_group(Ranks(0, 2)):
        pass
    return error.value


def test_a_port_that_another_job_has_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with hold(port):
        found = refusal(monkeypatch, MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    who = rf"port {port} is in use: another job \(process {os.getpid()} of user \S+\) has it"
    hint = rf"give another port: python -m oneflow\.distributed\.launch --master_port {port + 1000} …"
    assert re.fullmatch(f"ranks: {who}; {hint}", str(found)) and found.own and found.code == 2


def test_ranks_that_do_not_come_are_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo.distributed.process_group.RENDEZVOUS_SECONDS", 0.1)
    found = refusal(monkeypatch, MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
    hint = "start all ranks with the same --master_addr and --master_port, and let no firewall stand between them"
    assert str(found) == f"ranks: of 2 ranks these did not connect within 0 s: 1; {hint}" and found.own


def test_the_start_of_oneflow_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the watch, which is there whatever OneFlow does (tests/net/test_watch.py)."""
    said: list[tuple[float, str]] = []
    group = RankedGroup.__new__(RankedGroup)
    group._watch = SimpleNamespace(limit=lambda *given: said.append(given))
    monkeypatch.setenv("MASTER_PORT", "2345")
    with contextlib.suppress(KeyError), starting_oneflow(group):
        (seconds, reason) = said[0]
        raise KeyError
    assert 60 <= seconds <= 300 and said[1:] == [(0.0, "")]
    assert f"OneFlow has not connected the ranks at port 2345 within {seconds:.0f} s; let no firewall" in reason
    with starting_oneflow(LONE):
        assert len(said) == 2


def test_both_commands_start_oneflow_so() -> None:
    for path in ("yolo/train.py", "yolo/val.py"):
        text = (ROOT / path).read_text()
        assert re.search(r"starting_oneflow\(group\):\s+device = runtime\.select_device\(", text), path
