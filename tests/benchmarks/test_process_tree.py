"""Processor time and memory of this process and of those that it has started."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from benchmarks.workers.process_tree import cpu_seconds, descendants, memory_mb, peak_memory_mb

CHILD = """
import sys, time
held = bytearray(b"x" * (60 << 20))
del held
while time.process_time() < 0.4:
    pass
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def child():
    """A process that has worked for 0.4 s and held 60 MB for a while."""
    before = cpu_seconds(), memory_mb(), peak_memory_mb()
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}
    )
    process.stdout.readline()
    yield process, *before
    process.communicate()


def test_what_a_child_uses_counts_while_it_lives_and_afterwards(child):
    process, cpu, memory, peak = child
    assert process.pid in set(descendants())
    assert 0.35 <= cpu_seconds() - cpu < 5
    assert 60 < peak_memory_mb() - peak < 200
    assert 0 < memory_mb() - memory < 60  # it holds them no longer
    process.communicate()
    assert process.pid not in set(descendants()) and 0.35 <= cpu_seconds() - cpu < 5


def test_a_grandchild_counts_too():
    line = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    process = subprocess.Popen([sys.executable, "-c", line], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    assert len(list(descendants(process.pid))) == 1
    process.communicate(b"\n")
    assert list(descendants(process.pid)) == []


def test_own_work_counts_in_all_threads():
    cpu, begin = cpu_seconds(), time.process_time()
    while time.process_time() - begin < 0.05:
        pass
    assert 0.05 <= cpu_seconds() - cpu < 1


def test_a_peak_can_be_forgotten():
    code = (
        "from benchmarks.workers.process_tree import forget_peak, memory_mb, peak_memory_mb\n"
        "held = bytearray(b'x' * (80 << 20)); del held\n"
        "before = peak_memory_mb(); forget_peak()\n"
        "print(before - peak_memory_mb(), peak_memory_mb() - memory_mb())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    less, above = map(float, done.stdout.split())
    assert less > 70 and above < 10
