"""Operators that a timer runs again and again, as recordings, give what they give once."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.cuda_cases import SIZES, Case, all_cases, random_heads
from benchmarks.workers.cuda_operators import OPERATORS
from tests.device import cuda_host

RUNS = 3
CASES = {case.name: case for case in all_cases(SIZES["tiny"], {"invented heads": random_heads(SIZES["tiny"], 1)})}
ADDING = ("parameters", "values", "average")
"""Results that every run adds to or moves."""


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_results_stay(case: Case) -> None:
    module, operator = cuda_host(), OPERATORS[case.operator]
    timer = module.Timer(RUNS)
    timed = operator(module, case.arrays, case.settings, timer)
    for name, array in operator(module, case.arrays, case.settings, None).items():
        if name not in ADDING:
            np.testing.assert_array_equal(timed[name], array, err_msg=name)
    assert set(timer.ms) == ({"forward", "backward"} if case.operator == "norm" else {"run"})
    assert all(ms > 0 for ms in timer.ms.values())


def test_gradients_are_added_once_for_each_run() -> None:
    """Once before the time begins, once by the recording's first start, then by the runs that are timed."""
    case, module = CASES["norm + SiLU, fp32"], cuda_host()
    once = OPERATORS["norm"](module, case.arrays, case.settings, None)["parameters"]
    found = OPERATORS["norm"](module, case.arrays, case.settings, module.Timer(RUNS))["parameters"]
    np.testing.assert_allclose(found, (RUNS + 2) * once, rtol=1e-5)


def test_no_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="runs: expected 1 or more"):
        cuda_host().Timer(0)
