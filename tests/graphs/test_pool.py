"""A pool compiles each shape once, and gives memory back when it may.

What is tested resets OneFlow's session, so it happens in a process of its own; the tests read what that one saw.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = '''
import gc, json
import numpy as np
from yolo import runtime
flow = runtime.start()
from graphs.base import StaticGraph
from graphs.pool import GraphPool

WIDTH, LIMIT = 250_000, 3
made = []


class Scale(StaticGraph):
    """Gives weight * x + 1, by way of about 100 MB."""

    def __init__(self):
        super().__init__()
        self.layer = layer
        made.append(1)

    def build(self, x):
        wide = self.layer(x).expand(-1, WIDTH)
        return flow.relu(wide * 2.0)[:, :1] / 2.0 + 1.0


def rss():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * 4096 // 2**20


def call(pool, rows, value=1.0):
    x = flow.tensor(np.full((rows, 1), value, np.float32))
    return pool(x)


layer = flow.nn.Linear(1, 1, bias=False)
layer.weight.copy_(flow.tensor(np.float32([[3.0]])))
result = {"start": rss(), "rss": [], "values": [], "sizes": []}

pool = GraphPool(Scale, limit=LIMIT)
first = call(pool, 40, 2.0)
for step in range(9):
    rows = 40 + step
    out = call(pool, rows, step).numpy()
    assert out.shape == (rows, 1) and np.ptp(out) == 0
    result["values"].append(float(out[0, 0]))
    result["sizes"].append(len(pool))
    result["rss"].append(rss())
result["kept output"] = first.numpy().tolist()
result["made"] = len(made)
again = [float(call(pool, 48, value).numpy()[0, 0]) for value in (1.0, 5.0, -4.0)]
result["again"], result["made again"] = again, len(made)
pool(flow.ones(48, 1))
result["same key"] = len(pool)
result["seconds"] = pool.compile_seconds

pool._graphs.clear()  # nobody else may see these
gc.collect()
other = Scale()
other_before = float(other(flow.ones(5, 1)).numpy()[0, 0])
crowded = GraphPool(Scale, limit=2)
result["crowded values"] = [float(call(crowded, rows).numpy()[0, 0]) for rows in (20, 21, 22, 23)]
result["crowded"] = len(crowded)
result["other"] = [other_before, float(other(flow.ones(5, 1) * 2).numpy()[0, 0])]
del other
gc.collect()
call(crowded, 24)
result["after the other"] = len(crowded)
print(json.dumps(result))
'''


@pytest.fixture(scope="module")
def seen():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, cwd=root)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_outputs_are_right_before_and_after_memory_was_given_back(seen):
    assert seen["values"] == [3.0 * step + 1 for step in range(9)]


def test_the_number_of_graphs_is_bounded(seen):
    assert seen["sizes"] == [1, 2, 3, 1, 2, 3, 1, 2, 3]


def test_a_shape_is_compiled_once(seen):
    assert seen["made"] == 9
    assert seen["again"] == [4.0, 16.0, 1.0]
    assert seen["made again"] == 9
    assert seen["same key"] == 3
    assert seen["seconds"] > 0


def test_memory_is_given_back(seen):
    a_graph = (seen["rss"][2] - seen["rss"][0]) / 2
    assert a_graph > 30, "the graphs are too small to tell anything"
    # Nine graphs were met; never more than three and a little are there.
    assert max(seen["rss"]) - seen["start"] < 5 * a_graph
    assert seen["rss"][3] < seen["rss"][2] - a_graph
    assert seen["rss"][6] < seen["rss"][5] - a_graph


def test_an_output_outlives_its_graph(seen):
    assert seen["kept output"] == [[7.0]] * 40


def test_nothing_is_dropped_while_another_graph_lives(seen):
    assert seen["crowded values"] == [4.0] * 4
    assert seen["crowded"] == 4
    assert seen["other"] == [4.0, 7.0]
    assert seen["after the other"] == 1
