"""The loops of oneDNN run on this process's own team: the functions that stand for OpenMP's, beside GCC's library."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.program.networks import random_images, state_of, two_levels
from yolo import _native, runtime
from yolo.ops import pairwise_iou
from yolo.program.compiled import CompiledNetwork
from yolo.program.lower import lower
from yolo.program.passes import optimise

ACTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
OURS = ctypes.CDLL(_native.__file__)
LOOPS = [(0, 10, 1), (3, 4, 1), (0, 0, 1), (5, 2, 1), (0, 17, 3), (10, 0, -1), (9, -8, -4), (2, 5, -1)]


@pytest.fixture(scope="module")
def gcc() -> ctypes.CDLL:
    name = ctypes.util.find_library("gomp")
    if name is None:
        pytest.skip("GCC's OpenMP library is absent")
    return ctypes.CDLL(name)


def region(library: ctypes.CDLL, threads: int, work) -> list:
    """What ``work(library, thread)`` gives on each thread of a loop, in their order."""
    found = {}

    @ACTION
    def action(_: object) -> None:
        thread = library.omp_get_thread_num()
        found[thread] = work(library, thread)

    library.GOMP_parallel_start(action, None, ctypes.c_uint(threads))
    action(None)
    library.GOMP_parallel_end()
    return [found[thread] for thread in sorted(found)]


def pieces(library: ctypes.CDLL, loop: tuple[int, int, int], chunk: int) -> list[range]:
    first, last, found = ctypes.c_long(), ctypes.c_long(), []
    start, end, step = map(ctypes.c_long, loop)
    start_loop, go_on = library.GOMP_loop_static_start, library.GOMP_loop_static_next
    start_loop.restype = go_on.restype = ctypes.c_bool
    more = start_loop(start, end, step, ctypes.c_long(chunk), ctypes.byref(first), ctypes.byref(last))
    while more:
        found.append(range(first.value, last.value, loop[2]))
        more = go_on(ctypes.byref(first), ctypes.byref(last))
    library.GOMP_loop_end_nowait()
    return found


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("chunk", [0, 1, 3])
def test_a_loop_is_dealt_out_as_by_gcc(gcc: ctypes.CDLL, threads: int, chunk: int) -> None:
    for loop in LOOPS:
        ours, theirs = (
            region(library, threads, lambda lib, _: pieces(lib, loop, chunk))  # noqa: B023
            for library in (OURS, gcc)
        )
        assert len(ours) == threads
        assert ours == theirs, loop
        assert sorted(number for part in ours for piece in part for number in piece) == sorted(range(*loop))


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_every_thread_has_its_number(gcc: ctypes.CDLL, threads: int) -> None:
    def work(library: ctypes.CDLL, thread: int) -> tuple[int, int, int]:
        return thread, library.omp_get_num_threads(), library.omp_in_parallel()

    assert region(OURS, threads, work) == region(gcc, threads, work)
    assert (OURS.omp_get_thread_num(), OURS.omp_get_num_threads(), OURS.omp_in_parallel()) == (0, 1, 0)


def test_a_loop_in_a_loop_has_one_thread() -> None:
    def work(library: ctypes.CDLL, thread: int) -> tuple[int, list]:
        inner = region(library, 4, lambda lib, number: (number, lib.omp_get_num_threads()))
        return library.omp_get_num_threads(), inner

    assert region(OURS, 3, work) == [(3, [(0, 1)])] * 3


@pytest.mark.parametrize("threads", [2, 5])
def test_nobody_passes_a_barrier_early(threads: int) -> None:
    arrived: list[list[int]] = [[] for _ in range(50)]

    def work(library: ctypes.CDLL, thread: int) -> list[int]:
        seen = []
        for number in arrived:
            number.append(thread)
            library.GOMP_barrier()
            seen.append(len(number))
        return seen

    assert region(OURS, threads, work) == [[threads] * len(arrived)] * threads


def test_onednn_finds_these_functions_first(tmp_path: Path) -> None:
    """What the dynamic linker says of where it found them."""
    environment = {**os.environ, "LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": str(tmp_path / "found")}
    command = [sys.executable, "-c", "from yolo import _native"]
    subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], check=True)
    (said,) = tmp_path.iterdir()
    asked = [line for line in said.read_text().splitlines() if re.search(r"file \S*libdnnl\S* .*`(GOMP|omp)_", line)]
    assert len(asked) >= 10
    assert all(" to " + _native.__file__ + " " in line for line in asked)


def test_nobody_else_offers_them() -> None:
    """What is in the process's global scope, such as a preloaded library or OneFlow's, would be found before."""
    runtime.start()
    assert not hasattr(ctypes.CDLL(None), "GOMP_parallel_start")


def test_programs_are_planned_for_their_own_threads() -> None:
    """oneDNN asks when a program is built; one that ran before in this thread must not answer for it."""
    network = two_levels()
    graph = optimise(lower(network.spec, state_of(network)))
    for threads in (1, 3, 2):
        program = CompiledNetwork(graph, threads=threads).program((1, 3, 32, 32))
        assert OURS.omp_get_max_threads() == threads
        program(random_images((1, 3, 32, 32)))


def used() -> int:
    """Processor time that the team's threads have taken so far, nanoseconds."""
    team = [task for task in Path("/proc/self/task").iterdir() if (task / "comm").read_text() == "yolo-team\n"]
    assert len(team) >= 2
    return sum(int((task / "schedstat").read_text().split()[0]) for task in team)


def test_threads_without_work_sleep() -> None:
    """Between two loops they wait busily for a moment only: they take no processor time afterwards."""
    region(OURS, 3, lambda _, thread: thread)
    time.sleep(0.05)
    before = used()
    time.sleep(0.2)
    assert used() - before < 5_000_000  # nanoseconds


def test_a_child_of_a_fork_has_a_team_of_its_own() -> None:
    region(OURS, 3, lambda _, thread: thread)
    child = os.fork()
    if child == 0:
        os._exit(0 if region(OURS, 3, lambda _, thread: thread) == [0, 1, 2] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert region(OURS, 3, lambda _, thread: thread) == [0, 1, 2]


BOXES = np.random.default_rng(0).uniform(0, 100, (600, 4)).astype(np.float32)
"""So many that an operator shares their overlaps among threads."""


@pytest.mark.usefixtures("three_threads")
def test_operators_run_on_the_team() -> None:
    region(OURS, 3, lambda _, thread: thread)
    before = used()
    for _ in range(50):
        pairwise_iou(BOXES, BOXES)
    assert used() - before > 1_000_000  # nanoseconds


@pytest.mark.usefixtures("three_threads")
def test_an_operator_within_a_loop_does_not_wait_for_its_threads() -> None:
    expected = pairwise_iou(BOXES, BOXES)
    for found in region(OURS, 3, lambda *_: pairwise_iou(BOXES, BOXES)):
        np.testing.assert_array_equal(found, expected)


def test_callers_take_turns() -> None:
    inside, most = [], []

    def work(_: ctypes.CDLL, thread: int) -> int:
        inside.append(thread)
        most.append(len(inside))
        inside.pop()
        return thread

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: region(OURS, 3, work), range(40)))
    assert found == [[0, 1, 2]] * 40
    assert max(most) <= 3
