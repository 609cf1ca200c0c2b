"""What contenders lose to others on their cores, with fake contenders."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.driver import ABSENT, Contender
from benchmarks.shared_cores import COLUMNS, Pair, as_row, measure
from benchmarks.table import as_text


def fake(name: str, python: str = sys.executable, **options) -> Contender:
    return Contender(name, "fp32", True, python, "tests.benchmarks.fake", {"ms": 5, **options})


def test_each_is_measured_in_every_way_and_one_that_fails_drops_out(tmp_path: Path) -> None:
    found = measure([fake("a"), fake("b", fault="end"), fake("c", python="/no/python")], 1, 0.05, 1, tmp_path)
    assert all(found[0].ms[way] and min(found[0].ms[way]) >= 5 for way in ("alone", "twin", "busy"))
    assert found[1].failure == "its process ended: something went wrong" and found[2].failure == ABSENT
    text = as_text("Title", [as_row("yolov5n", pair) for pair in found], COLUMNS)
    assert text.splitlines()[3].endswith("something went wrong")


def test_ratios_are_to_the_same_figure_alone(tmp_path: Path) -> None:
    pair = Pair(fake("a"), tmp_path / "log")
    pair.ms = {"alone": [1.0, 2.0, 3.0], "twin": [4.0, 4.0, 10.0], "busy": [2.0, 5.0, 5.0]}
    row = as_row("yolov5n", pair)
    assert (row["alone_ms"], row["twin_ratio"], row["twin_mean_ratio"], row["busy_ratio"]) == (2.0, 2.0, 3.0, 2.5)
