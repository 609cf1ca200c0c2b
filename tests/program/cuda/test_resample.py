"""Pools and upsampling on a CUDA device, and their gradients, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.program.cuda.map_steps import PRECISIONS, MapSteps, assert_close, rounded
from tests.program.cuda.resample_reference import Case, backward, forward

POOLS = (
    ((7, 9), 5, 1, 2),
    ((8, 6), 2, 2, 0),
    ((5, 7), 2, 2, 0),
    ((7, 5), 3, 2, 1),
    ((4, 3), 9, 1, 4),
    ((1, 1), 1, 1, 0),
    ((1, 1), 3, 1, 1),
    ((8, 8), 2, 3, 1),
    ((5, 4), 1, 2, 0),
    ((9, 6), 17, 1, 8),
)
UPSAMPLINGS = (((3, 4), 2), ((1, 1), 2), ((4, 1), 3), ((2, 5), 1), ((1, 3), 4), ((3, 2), 5))
CASES = (
    *(Case(f"{name}_pool", *window) for name in ("max", "average") for window in POOLS),
    *(Case(name, size, scale, scale) for name in ("upsample", "bilinear") for size, scale in UPSAMPLINGS),
)
EXACT = ("max_pool", "upsample")
CHANNELS = (3, 20)


def numbers(case: Case, channels: int, precision: str, batch: int = 2) -> np.ndarray:
    """A source with many equal numbers, so that there are several maxima."""
    rng = np.random.default_rng(case.kernel * 100 + case.stride * 10 + channels)
    values = rng.normal(-1, 1, (batch, channels, *case.size))
    return rounded(np.where(rng.random(values.shape) < 0.5, np.round(values), values), precision)


def element(case: Case) -> int:
    return 1 if case.kernel**2 <= 256 else 2


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward(case: Case, precision: str) -> None:
    for number, channels in enumerate(CHANNELS):
        source = numbers(case, channels, precision)
        steps = MapSteps(precision, 2)
        made = steps.map(channels, case.made, first=8, behind=8 * number)
        steps.add("resample", {"source": [steps.filled(source, 8 * number, 8)], "target": [made]}, **case.attributes)
        found, (wanted, _) = steps.run().result(made), forward(case, source.astype(np.float64))
        if case.method in EXACT:
            np.testing.assert_array_equal(found, wanted)
        else:
            assert_close(found, wanted, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("case", [case for case in CASES if case.method == "max_pool"], ids=str)
def test_places_of_maxima(case: Case, precision: str) -> None:
    source = numbers(case, 20, precision)
    steps = MapSteps(precision, 2)
    made, index = steps.map(20, case.made, behind=8), steps.map(20, case.made, first=16, element=element(case))
    views = {"source": [steps.filled(source)], "target": [made], "index": [index]}
    steps.add("resample", views, **case.attributes)
    wanted, places = forward(case, source.astype(np.float64))
    np.testing.assert_array_equal(steps.run().result(made), wanted)
    np.testing.assert_array_equal(steps.places(index), places)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_maximum_is_never_nan(precision: str) -> None:
    case = Case("max_pool", (6, 7), 3, 2, 1)
    rng = np.random.default_rng(3)
    source = rounded(rng.normal(0, 1, (1, 12, *case.size)), precision)
    source[rng.random(source.shape) < 0.6] = np.nan
    source[rng.random(source.shape) < 0.2] = -np.inf
    source[:, 3], source[:, 4] = np.nan, -np.inf
    for kept in (False, True):
        steps = MapSteps(precision, 1)
        made, index = steps.map(12, case.made), steps.map(12, case.made, element=1)
        views = {"source": [steps.filled(source)], "target": [made], "index": [index] if kept else []}
        steps.add("resample", {role: found for role, found in views.items() if found}, **case.attributes)
        wanted, places = forward(case, source.astype(np.float64))
        np.testing.assert_array_equal(steps.run().result(made), wanted)
        if kept:
            np.testing.assert_array_equal(steps.places(index), places)


@pytest.mark.parametrize(("precision", "count"), [("fp32", 1), ("fp32", 3), ("fp16", 2), ("bf16", 16)])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_backward(case: Case, precision: str, count: int) -> None:
    channels = 11 if count < 16 else 2
    rng = np.random.default_rng(count)
    source = numbers(case, channels, precision)
    given = [rounded(rng.normal(0, 1, (2, channels, *case.made)), precision) for _ in range(count)]
    steps = MapSteps(precision, 2)
    views = {
        "gradients": [steps.filled(values, 8 * (number % 2), 8) for number, values in enumerate(given)],
        "source_gradient": [steps.map(channels, case.size, first=8, behind=8)],
    }
    if case.method == "max_pool":
        made, index = steps.map(channels, case.made), steps.map(channels, case.made, 8, element=element(case))
        steps.add("resample", {"source": [steps.filled(source)], "target": [made], "index": [index]}, **case.attributes)
        views["index"] = [index]
    steps.add("resample_backward", views, **case.attributes)
    _, places = forward(case, source.astype(np.float64))
    wanted = backward(case, np.sum(given, 0, dtype=np.float64), places)
    assert_close(steps.run().result(views["source_gradient"][0]), wanted, precision)
