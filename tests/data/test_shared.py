"""Shared memory across processes: one copy, an owner that may be killed, nothing left behind."""

import gc
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import numpy as np
import pytest

import yolo
from yolo.data.shared import SharedMemory

OTHER = """
import sys
from yolo.data.shared import SharedMemory
memory = SharedMemory(sys.argv[1], int(sys.argv[2]))
memory.content[:] += 1
print(memory.identity, int(memory.content.sum()), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def name():
    return f"test-{uuid.uuid4()}"


@pytest.fixture
def other(name):
    """Starts processes that share memory and add one to each of its bytes; gives what they say: identity, sum."""
    started = []

    def start(size=1000):
        process = subprocess.Popen(
            [sys.executable, "-c", OTHER, name, str(size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(yolo.__file__).parents[1])},
        )
        started.append(process)
        return process, *map(int, process.stdout.readline().split())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_processes_get_the_same_bytes(name, other):
    mine = SharedMemory(name, 1000)
    assert mine.content.dtype == np.uint8 and not mine.content.any()
    mine.content[:] = 5
    _, identity, total = other()
    assert (identity, total) == (mine.identity, 6000) and (mine.content == 6).all()
    again = SharedMemory(name, 1000)
    assert again.identity == mine.identity
    again.content[0] = 9
    assert mine.content[0] == 9


def test_a_killed_owner_leaves_nothing_and_others_keep_theirs(name, other):
    process, identity, total = other()
    assert total == 1000
    mine = SharedMemory(name, 1000)
    assert mine.identity == identity
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert name not in Path("/proc/net/unix").read_text()
    assert (mine.content == 1).all()
    _, identity, total = other()  # the name is free: a new owner, new memory
    assert identity != mine.identity and total == 1000


def test_dropping_it_frees_the_name_and_ends_the_thread(name):
    def threads():
        return {thread for thread in threading.enumerate() if thread.name == "shared-memory"}

    before = threads()
    memory = SharedMemory(name, 4096)
    (thread,) = threads() - before
    content, identity = memory.content, memory.identity
    content[:] = 3
    del memory
    gc.collect()
    thread.join(5)
    assert not thread.is_alive() and name not in Path("/proc/net/unix").read_text()
    assert (content == 3).all()
    assert SharedMemory(name, 4096).identity != identity


def test_another_size_is_refused(name):
    memory = SharedMemory(name, 1000)
    with pytest.raises(ValueError, match="has another size than 999"):
        SharedMemory(name, 999)
    assert memory.content.size == 1000
