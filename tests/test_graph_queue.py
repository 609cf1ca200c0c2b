"""The queue of running graphs that takes the place of OneFlow's own."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from yolo import runtime

POLICY = "_ZN7oneflow2vm19LazyJobStreamPolicy"
GRAPH = "ERKSt10shared_ptrINS_9NNGraphIfEE"
STATUS = "ERKNS0_6StreamERKNS0_23InstructionStatusBufferE"
NO_GRAPH = (ctypes.c_void_p * 2)()
"""A std::shared_ptr to nothing."""
SHORT_JOBS = """
from yolo import runtime
flow = runtime.start()

class Tiny(flow.nn.Graph):
    def build(self, x):
        return x + 1.0

x = flow.zeros(4)
graphs = [Tiny(), Tiny()]
for number in range(JOBS):
    y = graphs[number % 2](x)
    if number % 3 == 0:
        assert y.numpy().tolist() == [1.0] * 4
"""
LATE = """
import oneflow
from yolo import runtime
runtime.start()
"""


class Queue:
    """The functions, on a stream of the test's own."""

    def __init__(self) -> None:
        library = ctypes.CDLL(runtime._built("_graph_queue"))
        self._stream = ctypes.c_void_p(id(self))
        self._wait = library[f"{POLICY}42WaitUntilQueueEmptyIfFrontNNGraphNotEquals{GRAPH}"]
        self._enqueue = library[f"{POLICY}14EnqueueNNGraph{GRAPH}"]
        self._dequeue = library[f"{POLICY}14DequeueNNGraphEv"]
        self._ended = library[f"{POLICY.replace('ZN', 'ZNK')}26QueryInstructionStatusDone{STATUS}"]
        self._ended.restype = ctypes.c_bool
        self._notify = library["_ZN7oneflow8Notifier6NotifyEv"]
        self._status, self._notifier = (ctypes.c_ubyte * 64)(), (ctypes.c_ubyte * 256)()

    def enqueue(self) -> None:
        self._enqueue(self._stream, NO_GRAPH)

    def dequeue(self) -> None:
        self._dequeue(self._stream)

    def wait(self) -> None:
        self._wait(self._stream, NO_GRAPH)

    def ended(self) -> bool:
        """Whether the job has, which is asked as the scheduler does: it sleeps meanwhile."""
        return self._ended(self._stream, None, self._status)

    def seconds(self) -> float:
        """That the scheduler sleeps beside a job that has not ended."""
        begin = time.perf_counter()
        assert not self.ended()
        return time.perf_counter() - begin

    def notify(self) -> None:
        """Tell one of OneFlow's threads that it has something to do."""
        assert self._notify(self._notifier) == 0

    def end(self) -> None:
        self._dequeue(self._stream)
        self._status[0] = 1


def in_background(call) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def run(script: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[1]
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, cwd=root)


def test_the_end_of_a_job_waits_for_its_entry():
    queue = Queue()
    ends = [in_background(queue.dequeue) for _ in range(2)]
    ends[0].join(0.05)
    assert all(end.is_alive() for end in ends)
    queue.enqueue()
    queue.enqueue()
    for end in ends:
        end.join(10)
        assert not end.is_alive()


def test_an_empty_queue_and_one_of_deleted_graphs_hold_nobody_up():
    queue = Queue()
    queue.wait()
    queue.enqueue()
    waiting = in_background(queue.wait)
    waiting.join(10)
    assert not waiting.is_alive()
    queue.dequeue()


def test_the_scheduler_looks_ever_less_often_beside_a_long_job():
    queue = Queue()
    queue.enqueue()
    assert min(queue.seconds() for _ in range(12)) < 0.004
    assert min(queue.seconds() for _ in range(6)) > 0.006


def test_what_is_new_wakes_the_scheduler():
    """Also what comes while it is about to fall asleep; it looks often again from then on."""
    queue, woken = Queue(), []
    queue.enqueue()
    for _ in range(12):
        queue.seconds()
        queue.notify()
        woken.append(queue.seconds())
    assert min(woken) < 0.0004
    assert min(queue.seconds() for _ in range(3)) < 0.004


def test_the_end_of_a_job_wakes_the_scheduler():
    queue = Queue()
    queue.enqueue()
    asked = in_background(lambda: [None for _ in iter(queue.ended, True)])
    asked.join(0.05)
    assert asked.is_alive()
    queue.end()
    asked.join(10)
    assert not asked.is_alive()


@pytest.mark.parametrize("jobs", [4_000, pytest.param(40_000, marks=pytest.mark.stress)])
def test_thousands_of_short_jobs_of_two_graphs(jobs: int):
    """Without the library two processes of three die within the first thousands."""
    done = run(SHORT_JOBS.replace("JOBS", str(jobs)))
    assert (done.returncode, done.stderr) == (0, "")


def test_oneflow_that_was_there_first_is_warned_of():
    done = run(LATE)
    assert done.returncode == 0 and "UserWarning: oneflow was imported before yolo" in done.stderr


def test_a_library_that_is_not_built_is_named(monkeypatch):
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(runtime.RuntimeSetupError, match=r"yolo\._graph_queue: .*not built.*make build"):
        runtime._built("_graph_queue")
