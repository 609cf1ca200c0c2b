"""The plug-in that holds the operator: how it loads, how it is missed, and how a Runnable's failure ends a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from yolo import runtime
from yolo.errors import RuntimeSetupError

FAILING = """
from yolo import runtime
flow = runtime.start()
from graphs.base import StaticGraph
from tests.program.function_runnable import FailingRunnable
from yolo.program.operator import call

class Graph(StaticGraph):
    def build(self, x):
        return run(x)

def run(x):
    return call(FailingRunnable(), [x], [((3,), flow.float32)])[0]

print("result", {runs}(flow.zeros(3)).numpy())
"""
LATE = """
import numpy, oneflow as flow
layer = flow.nn.Conv2d(1, 2, 3)
before = layer(flow.ones(1, 1, 4, 4)).numpy()
from yolo import runtime
runtime.start()
from tests.program.function_runnable import FunctionRunnable
from yolo.program.operator import call
spec = [((3,), "float32")]
double = FunctionRunnable(lambda inputs, outputs: numpy.multiply(inputs[0], 2, outputs[0]), spec, spec)
assert call(double, [flow.ones(3)], [((3,), flow.float32)])[0].numpy().tolist() == [2.0] * 3
assert (layer(flow.ones(1, 1, 4, 4)).numpy() == before).all()
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=root)


@pytest.mark.parametrize("runs", ["run", "Graph()"])
def test_a_failing_runnable_ends_the_process_with_one_line(runs):
    done = run(FAILING.replace("{runs}", runs))
    assert done.returncode != 0 and done.stdout == ""
    assert done.stderr == "yolo: a compiled program failed inside OneFlow, so this process ends: std::bad_alloc\n"


def test_a_plug_in_that_is_not_built_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "yolo._oneflow", None)
    with pytest.raises(RuntimeSetupError, match=r"^yolo\._oneflow: the compiled libraries are not built; run: make"):
        runtime.start()


def test_a_plug_in_for_another_oneflow_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "yolo._oneflow", SimpleNamespace(oneflow_version="0.8.0"))
    with pytest.raises(RuntimeSetupError, match=r"yolo\._oneflow: was built for OneFlow 0\.8\.0; run: make build"):
        runtime.start()


def test_a_plug_in_that_does_not_load_says_why(monkeypatch):
    def undefined(name):
        raise ImportError("undefined symbol: _ZN7oneflow")

    monkeypatch.setattr(runtime.importlib, "import_module", undefined)
    with pytest.raises(RuntimeSetupError, match=r"yolo\._oneflow: does not fit the installed OneFlow: undefined sym"):
        runtime.start()


def test_it_loads_after_operators_ran_too():
    done = run(LATE)
    assert done.returncode == 0, done.stderr


def test_it_adds_nothing_to_a_quiet_start():
    done = run("from yolo import runtime; runtime.start(); import yolo.program.operator")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
