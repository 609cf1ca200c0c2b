"""A rank and its launcher: the last word is the rank's, and nothing that was stopped stays."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launched import ROOT, launch

RANK = """
import dataclasses, os, sys, time
from yolo.command import run_command
from yolo.config.options import option
from yolo.errors import ConfigError

@dataclasses.dataclass(frozen=True)
class Config:
    "Do something."
    json: bool = option(False, "print JSON")

def refuse(config):
    raise ConfigError("is 97", where="--size")

def work(config):
    print("done")
    return {}

if os.environ["RANK"] == sys.argv[2]:
    time.sleep(0.5)  # ranks do not start together
code = run_command("yolo.thing", Config, work if sys.argv[1] == "work" else refuse, sys.argv[3:])
sys.exit(code)
"""

# Does what OneFlow's does, without OneFlow, and somewhat slower where that could go wrong.
LAUNCHER = """
import os, signal, subprocess, sys, time
ranks, last = [], None

def end(number, frame):
    print("Killing subprocess", flush=True)
    if last is not None:
        raise subprocess.CalledProcessError(last, "rank")
    time.sleep(0.2)
    print("Main process received SIGTERM, exiting", flush=True)
    sys.exit(1)

signal.signal(signal.SIGTERM, end)
for rank in "01":
    variables = {"WORLD_SIZE": "2", "RANK": rank, "LOCAL_RANK": rank, "GLOG_log_dir": "log/local_rank_" + rank}
    ranks.append(subprocess.Popen([sys.executable, *sys.argv[1:]], env={**os.environ, **variables}))
while any(rank.poll() is None for rank in ranks):
    time.sleep(0.01)
    for rank in ranks:
        if rank.poll():
            last = rank.returncode
            end(signal.SIGTERM, None)
"""


def written(folder: Path, text: str) -> str:
    """A launcher's file, with the name by which a rank knows it."""
    path = folder / "oneflow/distributed/launch.py"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return str(path)


def launched(folder: Path, *argv: str) -> tuple[int, list[str]]:
    """Exit code and lines of a job, stdout and stderr in one."""
    (folder / "rank.py").write_text(RANK)
    command = [sys.executable, written(folder, LAUNCHER), str(folder / "rank.py"), *argv]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, timeout=60
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("late", ["0", "1"])
def test_a_refusal_is_the_last_line_and_the_only_one(tmp_path: Path, late: str) -> None:
    code, lines = launched(tmp_path, "refuse", late)
    assert code == 1 and lines[-1] == "yolo.thing: --size: is 97"
    assert lines.count(lines[-1]) == 1 and not any("Traceback" in line for line in lines)
    assert "Main process received SIGTERM, exiting" in lines


def test_a_wrong_command_line_and_json(tmp_path: Path) -> None:
    code, lines = launched(tmp_path, "refuse", "0", "--json", "--siez")
    assert code == 1 and lines[-2].startswith("yolo.thing: unknown option --siez")
    assert lines[-1].startswith('{"schema_version": 1, "command": "thing", "error": {"kind": "ConfigError"')


def test_work_that_is_done_ends_without_a_word(tmp_path: Path) -> None:
    assert launched(tmp_path, "work", "0") == (0, ["done"] * 2)


@pytest.mark.slow
def test_oneflow_s_own_launcher(tmp_path: Path) -> None:
    (tmp_path / "rank.py").write_text(RANK)
    done = launch([str(tmp_path / "rank.py"), "refuse", "0"], 2)
    assert done.returncode == 1 and done.stderr.splitlines()[-1] == "yolo.thing: --size: is 97"
    assert "Traceback" not in done.stderr


STOPPING = """
import os, signal, subprocess, sys
stopped, running = (subprocess.Popen(["sleep", "60"]) for _ in "ab")
stopped.send_signal(signal.SIGSTOP)
os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
code = "from yolo.distributed.launcher import end_stopped_siblings; end_stopped_siblings()"
subprocess.run([sys.executable, "-c", code], check=True)
running.terminate()
if stopped.poll() is None and sys.argv[1] == "no":
    stopped.kill()
    print("stayed")
print(stopped.wait(20), running.wait(20))
"""


@pytest.mark.parametrize("log, said", [("log/local_rank_1", f"{-signal.SIGKILL}"), ("elsewhere", "stayed")])
def test_a_sibling_that_was_stopped_before_it_knew_of_us_is_ended(tmp_path: Path, log: str, said: str) -> None:
    """It alone, and nothing where no launcher has started them."""
    environment = {**os.environ, "GLOG_log_dir": log, "LOCAL_RANK": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, written(tmp_path, STOPPING), "no" if said == "stayed" else "yes"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == said and done.stdout.split()[-1] == f"{-signal.SIGTERM}"


FINDING = """
import os, subprocess, sys
given = {**os.environ, "RANK": "1"}
sibling = subprocess.Popen(["sleep", "60"], env=given)
nameless = subprocess.Popen(["sleep", "60"], env={name: text for name, text in given.items() if name != "RANK"})
words = ["sh", "-c", "RANK=2 sleep 60 & echo; wait"]
middle = subprocess.Popen(words, env=given | {"RANK": "x"}, stdout=subprocess.PIPE)
middle.stdout.readline()
code = "import sys; from yolo.distributed.launcher import *; "
code += "print(siblings(), start_of(int(sys.argv[1])), launcher_of_all())"
subprocess.run([sys.executable, "-c", code, str(sibling.pid)], env=given | {"RANK": "0"}, check=True)
print(sibling.pid, os.getpid())
os.killpg(0, 15)
"""


def found(folder: Path, *words: str, log: str = "log/local_rank_0") -> tuple[str, str, str]:
    """What a rank finds of its siblings and of its launcher; the sibling's process, start, and the launcher's."""
    environment = {**os.environ, "GLOG_log_dir": log, "LOCAL_RANK": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-u", written(folder, FINDING), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, start_new_session=True)
    assert done.returncode == -signal.SIGTERM, done.stderr
    seen, numbers = done.stdout.splitlines()
    return seen, *numbers.split()


def test_siblings_are_those_of_one_launcher_by_the_kernels_word(tmp_path: Path) -> None:
    """Not a launcher's child without a rank, nor anybody else's who says that he is one."""
    seen, sibling, launcher = found(tmp_path)
    process, start = re.match(r"\{1: \((\d+), (\d+)\)\} ", seen).groups()
    assert process == sibling and seen.split()[3] == start
    assert re.fullmatch(rf"pid:\[\d+\] {launcher} \d+", " ".join(seen.split()[4:]))


def test_by_hand_there_are_none(tmp_path: Path) -> None:
    assert found(tmp_path, log="elsewhere")[0].startswith("{} ")


@pytest.mark.parametrize(
    "words, one",
    [
        (["--nnodes", "1", "x.py"], True),
        (["--nproc_per_node", "2", "--nnodes=1", "x.py"], True),
        (["--nnodes", "2", "x.py"], False),
        (["--nnodes=2", "x.py"], False),
        (["--nn", "2", "--node_rank", "1"], False),
        (["--nnod=2"], False),
        (["--nnodes", "x"], False),
        (["--nproc_per_node", "2", "--node_rank", "0"], True),
    ],
)
def test_one_launcher_of_all_is_known_by_its_words(tmp_path: Path, words: list[str], one: bool) -> None:
    assert (len(found(tmp_path, *words)[0].split()) > 4) is one
