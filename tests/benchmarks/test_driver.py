"""The driver with fake contenders: turns, medians, ratios, failures, the JSON object."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pytest

from benchmarks import driver
from benchmarks.driver import Contender, Measurement, measure
from benchmarks.table import as_json, as_text, difference, make_rows


def contender(name: str, ours: bool = False, precision: str = "fp32", **options) -> Contender:
    return Contender(name, precision, ours, sys.executable, "tests.benchmarks.fake", {"ms": 1, **options})


def finished(name: str, ms: list[float], ours: bool = False, precision: str = "fp32") -> Measurement:
    return Measurement(contender(name, ours, precision), ms=ms)


def test_contenders_run_in_turn_and_the_warm_up_is_not_counted(tmp_path):
    order = tmp_path / "order"
    pair = [contender(name, order=str(order), letter=name) for name in "ab"]
    found = measure(pair, tmp_path / "work", rounds=2, warmup=1, lead=1)
    assert order.read_text() == "aabb" * 3
    assert [len(m.ms) for m in found] == [2, 2]


def test_times_outputs_figures_and_memory_come_back(tmp_path):
    (found,) = measure([contender("a", ms=20, value=3.0)], tmp_path, rounds=3, warmup=0)
    assert 20 <= found.median_ms < 200
    assert found.figures == {"inner_ms": [10, 10, 10]}
    assert found.outputs["head0"].tolist() == [[3, 3, 3]] * 2
    assert 5 < found.peak_rss_mb < 500


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("load", "ValueError: lacks what it needs"),
        ("run", "RuntimeError: a run fails"),
        ("end", "its process ended: something went wrong"),
    ],
)
def test_one_that_fails_drops_out_with_its_reason_and_the_others_go_on(tmp_path, fault, why):
    found = measure([contender("bad", fault=fault), contender("good")], tmp_path, rounds=2, warmup=0)
    assert found[0].failure == why and found[0].ms == []
    assert found[1].failure is None and len(found[1].ms) == 2


def test_an_environment_that_is_not_there_is_a_reason_too(tmp_path):
    absent = Contender("peer", "fp32", False, str(tmp_path / "no" / "python"), "tests.benchmarks.fake", {"ms": 1})
    (found,) = measure([absent], tmp_path, rounds=1)
    assert found.failure == "its environment is absent; type: make bench-peers"


def test_one_that_does_not_answer_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "COMMAND_LIMIT_S", 2.0)
    (found,) = measure([contender("slow", ms=60_000)], tmp_path, rounds=1)
    assert found.failure == "no answer to run in 2 s"


def test_the_ratio_is_to_the_fastest_peer_of_the_same_precision():
    measurements = [
        finished("ours", [10.0, 11.0, 90.0], ours=True),
        finished("slow peer", [40.0]),
        finished("fast peer", [22.0]),
        finished("low peer", [1.0], precision="bf16"),
        finished("ours", [3.0], ours=True, precision="int8"),
    ]
    rows = make_rows("yolov5n", measurements)
    assert [row["ratio_to_best_peer"] for row in rows] == [0.5, 1.818, 1.0, 1.0, None]
    assert [row["median_ms"] for row in rows] == [11.0, 40.0, 22.0, 1.0, 3.0]
    assert rows[0]["min_ms"] == 10.0
    assert rows[0]["spread"] == round((50.5 - 10.5) / 11, 3)


def test_the_json_object_has_the_schema_and_a_failure_has_no_figures():
    failed = Measurement(contender("peer"), failure="not installed")
    found = json.loads(as_json(make_rows("yolov5n", [finished("ours", [1.0], ours=True), failed]), size=640))
    assert found["schema_version"] == 1 and found["size"] == 640 and "cores" in found["machine"]
    keys = {"name", "model", "precision", "ours", "median_ms", "ratio_to_best_peer", "peak_rss_mb", "note"}
    assert all(keys <= set(row) for row in found["rows"])
    assert found["rows"][0]["ours"] is True and found["rows"][0]["ratio_to_best_peer"] is None
    assert '"difference": null' in as_json([{"difference": math.inf}])
    assert found["rows"][1]["median_ms"] is None and found["rows"][1]["note"] == "not installed"


def test_the_table_has_a_line_a_row_with_its_note():
    failed = Measurement(contender("peer"), failure="not installed")
    rows = make_rows("yolov5n", [finished("ours", [1.25], ours=True), failed])
    text = as_text("Title", rows, {"name": "contender", "precision": "precision", "median_ms": "median ms"})
    lines = text.split("\n")
    assert lines[0].startswith("Title; ") and len(lines) == 4
    assert lines[2].split() == ["ours", "fp32", "1.2"]
    assert lines[3].endswith("not installed")


def test_differences_are_relative_norms_and_infinite_where_arrays_do_not_correspond():
    one = {"a": np.array([3.0, 0.0]), "b": np.array([4.0])}
    assert difference(one, one) == 0
    assert difference({**one, "b": np.array([4.5])}, one) == pytest.approx(0.1)
    assert difference({"a": one["a"]}, one) == math.inf
    assert difference({**one, "b": np.array([math.nan])}, one) == math.inf
    assert difference({**one, "b": np.array([4.0, 4.0])}, one) == math.inf
