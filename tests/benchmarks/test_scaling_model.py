"""The model of a step: it finds the parameters that made its points, and says what limits."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from benchmarks.scaling_model import (
    LINKS,
    Link,
    Point,
    StepModel,
    expected_maximum,
    fit,
    messages,
    predict,
    volume,
)

BYTES = 8e6
TRUE = {"data": 0.02, "compute": 1.0, "other": 0.01, "sigma": 0.04, "latency": 2e-4, "per_byte": 1 / 4e8}


def point(ranks: int, **instead: float) -> Point:
    """A run as the formulas have it, written out."""
    true = {**TRUE, **instead}
    slowest = {1: 0, 2: 1 / math.sqrt(math.pi), 4: 1.0293753730}[ranks]
    exchange = true["latency"] * 5 * 2 * (ranks - 1) + true["per_byte"] * 2 * (ranks - 1) / ranks * BYTES
    return Point(ranks, true["data"], true["compute"], true["other"], true["sigma"] * slowest, exchange)


def test_the_expected_maximum_is_that_of_tables_and_of_drawn_numbers() -> None:
    known = {1: 0.0, 2: 1 / math.sqrt(math.pi), 3: 1.5 / math.sqrt(math.pi), 4: 1.0293753730, 10: 1.5387527308}
    assert {n: expected_maximum(n) for n in known} == pytest.approx(known, abs=1e-6)
    drawn = np.random.default_rng(0).normal(size=(4000, 1024)).max(axis=1).mean()
    assert expected_maximum(1024) == pytest.approx(drawn, abs=0.02)


def test_what_made_the_points_is_found_again() -> None:
    model = fit([point(ranks) for ranks in (1, 2, 4)], reduced=BYTES)
    assert model.told_apart
    assert {name: getattr(model, name) for name in TRUE} == pytest.approx(TRUE, rel=1e-6)
    assert model.measured_link().bandwidth == pytest.approx(4e8) and model.alone == pytest.approx(1.03)
    for ranks in (1, 2, 4):
        found, made = predict(model, ranks, model.measured_link()), point(ranks)
        assert found.seconds == pytest.approx(1.03 + made.straggling + made.exchange)


def test_noise_moves_it_little() -> None:
    rng = np.random.default_rng(1)
    noisy = [
        Point(p.ranks, p.data, p.compute, p.other, *(np.array([p.straggling, p.exchange]) * rng.normal(1, 0.03, 2)))
        for p in (point(ranks) for ranks in (1, 2, 4) for _ in range(20))
    ]
    model = fit(noisy, reduced=BYTES)
    assert model.sigma == pytest.approx(TRUE["sigma"], rel=0.05)
    assert model.latency == pytest.approx(TRUE["latency"], rel=0.2)
    assert model.per_byte == pytest.approx(TRUE["per_byte"], rel=0.2)


def test_one_number_of_ranks_cannot_tell_latency_from_bandwidth() -> None:
    model = fit([point(1), point(2)], reduced=BYTES)
    assert not model.told_apart and model.latency == 0
    assert model.per_byte * BYTES == pytest.approx(point(2).exchange)


def test_a_part_that_would_be_negative_is_none() -> None:
    """Four ranks that exchange in less time than two: no latency, whatever a straight line says."""
    runs = [point(1), point(2), Point(4, 0.02, 1.0, 0.01, 0.04, 0.9 * point(2).exchange)]
    model = fit(runs, reduced=BYTES)
    assert model.latency == 0 and model.per_byte > 0
    steep = fit([point(1), Point(2, 0, 1, 0, 0, 1e-4), Point(4, 0, 1, 0, 0, 9e-3)], reduced=BYTES)
    assert steep.per_byte == 0 and steep.latency > 0 and steep.measured_link().bandwidth == math.inf


def test_without_runs_of_several_ranks_there_is_no_link_and_without_one_rank_no_model() -> None:
    model = fit([point(1)], reduced=BYTES)
    assert model.measured_link() is None and model.sigma == 0
    with pytest.raises(ValueError, match="one rank"):
        fit([point(2)], reduced=BYTES)


def test_volume_and_messages() -> None:
    assert (volume(1, 100), volume(2, 100), volume(4, 100), volume(4, 100, 0.5)) == (0, 100, 150, 75)
    assert (messages(1), messages(2), messages(8, updates=0.25)) == (0, 10, 4.25 * 14)


def test_more_ranks_lose_more_and_better_links_less() -> None:
    model = StepModel(0.02, 1.0, 0.01, 0.04, BYTES, 1.0)
    links = [Link("slow", 1e8, 1e-4), Link("quick", 1e8, 1e-5), Link("wide", 1e9, 1e-5)]
    table = [[predict(model, 2**k, link).efficiency for k in range(11)] for link in links]
    for row in table:
        assert row[0] == 1 and (np.diff(row) < 0).all() and row[-1] > 0
    for worse, better in itertools.pairwise(table):
        assert (np.array(better[1:]) > worse[1:]).all()
    parts = predict(model, 64, links[0])
    assert parts.seconds == pytest.approx(model.alone + sum(parts.losses.values()))


@pytest.mark.parametrize(
    ("limit", "sigma", "link"),
    [
        ("stragglers", 0.5, Link("good", 1e12, 0)),
        ("latency", 0.0, Link("far", 1e12, 1e-2)),
        ("bandwidth", 0.0, Link("narrow", 1e6, 0)),
        ("compute", 0.0, Link("good", 1e12, 0)),
    ],
)
def test_what_limits(limit: str, sigma: float, link: Link) -> None:
    assert predict(StepModel(0.02, 1.0, 0.01, sigma, BYTES, 1.0), 64, link).limit == limit


def test_data_limits_where_most_of_a_step_waits_for_it() -> None:
    assert predict(StepModel(2.0, 1.0, 0.01, 0.0, BYTES, 1.0), 64, LINKS[2]).limit == "data"
