"""The operator on two ranks: each runs its own Runnable on its own part."""

from __future__ import annotations

import json

import oneflow as flow
import pytest

from tests.launched import launch
from tests.program.function_runnable import FunctionRunnable
from tests.program.samples import VECTOR, adder, x
from yolo.program.operator import call

SCRIPT = """
import json, os, sys, traceback
from yolo import runtime
flow = runtime.start()
from graphs.base import StaticGraph, synchronise
from tests.program.function_runnable import FunctionRunnable
from yolo.program.operator import call

def run(inputs, outputs):
    outputs[0][...] = inputs[0] + 10 * (rank + 1)
    outputs[1][...] = inputs[0].sum(0)
    inputs[1][...] += 1

def body(x):
    sbp = [split, whole, split, flow.sbp.partial_sum]
    return call(runnable, [x], [((4, 2), flow.float32), ((2,), flow.float32)], [total], sbp)

class Graph(StaticGraph):
    def build(self, x):
        return body(x)

try:
    rank, split, whole = flow.env.get_rank(), flow.sbp.split(0), flow.sbp.broadcast
    ranks = flow.placement("cpu", ranks=[0, 1])
    parts, sums = ((2, 2), "float32"), ((2,), "float32")
    runnable = FunctionRunnable(run, [parts, ((3,), "float32")], [parts, sums])
    x = flow.arange(8, dtype=flow.float32).reshape(4, 2).to_global(ranks, whole).to_global(sbp=split)
    total = flow.zeros(3).to_global(ranks, whole)
    seen = [[tensor.numpy().tolist() for tensor in function(x)] for function in (Graph(), body)]
    synchronise()
    with open(f"{sys.argv[1]}/{rank}.json", "w") as stream:
        json.dump([*seen, total.to_local().numpy().tolist()], stream)
except BaseException:  # a rank that ends in good order leaves the other one waiting
    traceback.print_exc()
    os._exit(1)
"""


def test_every_rank_runs_its_own_runnable_on_its_own_part(tmp_path):
    script = tmp_path / "ranks.py"
    script.write_text(SCRIPT)
    done = launch([str(script), str(tmp_path)], 2, seconds=120)
    assert done.returncode == 0, done.stderr
    rows = [[10.0, 11.0], [12.0, 13.0], [24.0, 25.0], [26.0, 27.0]]
    for rank in (0, 1):
        graph, eager, total = json.loads((tmp_path / f"{rank}.json").read_text())
        assert graph == eager == [rows, [12.0, 16.0]]
        assert total == [2.0] * 3


@pytest.mark.parametrize(
    "sbp", [[], [flow.sbp.broadcast] * 3, [flow.sbp.split(1), flow.sbp.broadcast]], ids=["none", "three", "split(1)"]
)
def test_an_sbp_that_does_not_fit_is_refused(sbp):
    copy = FunctionRunnable(lambda inputs, outputs: None, [VECTOR], [VECTOR])
    with pytest.raises(ValueError, match="sbp: expected 2 of broadcast"):
        call(copy, [x()], [((3,), flow.float32)], sbp=sbp)


def test_a_written_tensor_of_another_sbp_is_refused():
    place = flow.placement("cpu", ranks=[0])
    tensors = [tensor.to_global(place, flow.sbp.split(0)) for tensor in (x(), x())]
    with pytest.raises(ValueError, match=r"mutable input 0: its sbp is oneflow\.sbp\.split"):
        call(adder(), tensors[:1], [], tensors[1:])
