"""What graphs that have ended took comes back, unless another graph is alive or somebody else has made graphs.

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
from yolo import runtime
gc.get_objects = gc.get_referrers = None  # they take hold of tuples that other threads are building
flow = runtime.start()
from graphs.base import StaticGraph

WIDTH = 250_000


class Wide(StaticGraph):
    """2 * x + 1, by way of about 100 MB."""

    def build(self, x):
        return flow.relu(x.expand(-1, WIDTH) * 2.0)[:, :1] + 1.0


class Foreign(flow.nn.Graph):
    def build(self, x):
        return x * 3.0


def rss():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * 4096 // 2**20


def one():
    seen["values"].append(Wide()(x).numpy()[0, 0].item())
    return rss()


x, seen = flow.ones(40, 1), {"values": []}
first = Wide()(x)
seen["alone"] = [one() for _ in range(5)]
seen["kept"] = first.numpy().tolist()
foreign = Foreign()
before = foreign(x).numpy()
seen["beside another"] = [one() for _ in range(3)]
seen["the other"] = bool((foreign(x * 2.0).numpy() == 2 * before).all())
print(json.dumps(seen))
'''


@pytest.fixture(scope="module")
def seen() -> dict:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, cwd=root)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_memory_comes_back_where_no_graph_is_left(seen: dict) -> None:
    a_graph = (seen["beside another"][2] - seen["beside another"][0]) / 2
    assert a_graph > 30, "the graphs are too small to tell anything"
    assert max(seen["alone"]) - min(seen["alone"]) < a_graph


def test_nothing_is_reset_under_another_graph(seen: dict) -> None:
    assert seen["the other"]


def test_values_and_outputs_outlive_it(seen: dict) -> None:
    assert seen["values"] == [3.0] * 8 and seen["kept"] == [[3.0]] * 40
