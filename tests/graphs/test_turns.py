"""One thread at a time; what garbage collection brings waits for the end of a turn, and never for a lock."""

from __future__ import annotations

import gc
import threading

import numpy as np
import oneflow as flow

from graphs.base import StaticGraph, Turns


def in_thread(work) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()


def test_threads_come_one_after_the_other() -> None:
    turns, inside, most = Turns(), [], []

    def work() -> None:
        for _ in range(200):
            with turns.turn():
                inside.append(1)
                with turns.turn():  # in a turn there may be another
                    most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and len(most) == 800


def test_a_job_is_done_at_once_where_nobody_has_a_turn() -> None:
    turns, done = Turns(), []
    turns.when_free(lambda: done.append(1))
    assert done == [1]


def test_a_job_waits_for_the_end_of_the_own_turn() -> None:
    turns, done = Turns(), []
    with turns.turn():
        with turns.turn():
            turns.when_free(lambda: done.append(1))
        assert not done
    assert done == [1]


def test_another_thread_s_job_is_done_at_the_end_of_the_turn_and_keeps_nobody_waiting() -> None:
    turns, done = Turns(), []
    with turns.turn():
        in_thread(lambda: turns.when_free(lambda: done.append(threading.current_thread())))
        assert not done
    assert done == [threading.current_thread()]


def test_a_job_that_brings_another() -> None:
    turns, done = Turns(), []
    turns.when_free(lambda: turns.when_free(lambda: done.append(1)))
    assert done == [1]


def test_an_error_ends_the_turn() -> None:
    turns, done = Turns(), []
    try:
        with turns.turn():
            raise ValueError
    except ValueError:
        in_thread(lambda: turns.when_free(lambda: done.append(1)))
    assert done == [1]


class Scale(StaticGraph):
    """weight * x; runs ``meanwhile`` while it is traced."""

    def __init__(self, layer: flow.nn.Module, meanwhile=lambda: None) -> None:
        super().__init__()
        self.layer, self._meanwhile = layer, meanwhile

    def build(self, x: flow.Tensor) -> flow.Tensor:
        y = self.layer(x)
        self._meanwhile()
        return y * 2.0


def test_graphs_that_end_while_another_is_traced() -> None:
    """A graph's end empties OneFlow's list of variables, of which the traced one has its weights."""
    layer = flow.nn.Linear(1, 1, bias=False)
    layer.weight.copy_(flow.tensor(np.float32([[3.0]])))
    x = flow.ones(2, 1)
    old = [Scale(layer), Scale(layer)]
    for graph in old:
        assert graph(x).numpy().tolist() == [[6.0], [6.0]]
    cycle = [old.pop()]
    cycle.append(cycle)
    del graph, cycle

    def meanwhile() -> None:
        gc.collect()  # in the thread that traces
        in_thread(old.clear)  # and in another

    graph = Scale(layer, meanwhile)
    assert graph(x).numpy().tolist() == [[6.0], [6.0]]
    layer.weight.copy_(flow.tensor(np.float32([[5.0]])))
    assert graph(x).numpy().tolist() == [[10.0], [10.0]] and not old


def test_threads_trace_at_the_same_time() -> None:
    layer = flow.nn.Linear(1, 1, bias=False)
    layer.weight.copy_(flow.tensor(np.float32([[3.0]])))
    barrier, found = threading.Barrier(6), []

    def work() -> None:
        barrier.wait()
        found.append(Scale(layer)(flow.ones(3, 1)).numpy().tolist())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[[6.0]] * 3] * 6
