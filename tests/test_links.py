"""How a process ends that is one of several."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.launched import ROOT

SCRIPT = """
import atexit, sys
from yolo.links import depart
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


LAUNCHER = """
import os, signal, subprocess, sys
stopped, running = (subprocess.Popen(["sleep", "60"]) for _ in "ab")
stopped.send_signal(signal.SIGSTOP)
os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
code = "from yolo.links import end_stopped_siblings; end_stopped_siblings()"
subprocess.run([sys.executable, "-c", code], check=True)
running.terminate()
if stopped.poll() is None and sys.argv[1] == "no":
    stopped.kill()
    print("stayed")
print(stopped.wait(20), running.wait(20))
"""


@pytest.mark.parametrize("log, said", [("log/local_rank_1", f"{-signal.SIGKILL}"), ("elsewhere", "stayed")])
def test_a_sibling_that_was_stopped_before_it_knew_of_us_is_ended(log: str, said: str) -> None:
    """It alone, and nothing where no launcher has started them."""
    environment = {**os.environ, "GLOG_log_dir": log, "LOCAL_RANK": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", LAUNCHER, "no" if said == "stayed" else "yes"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == said and done.stdout.split()[-1] == f"{-signal.SIGTERM}"
