"""Charts put values where they belong, mark round numbers, and can be read aloud."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from yolo.report.charts import BOTTOM, LEFT, RIGHT, SMALL, TOP, Axis, Line, line_chart, number, round_steps

WIDTH, HEIGHT = SMALL


def parsed(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html)


def points(line: ElementTree.Element) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]


def test_corners_of_the_axes_are_corners_of_the_chart():
    chart = parsed(line_chart("t", [Line("one", [0, 0.5, 1], [0, 0.5, 1])], Axis("x", 0, 1), Axis("y", 0, 1)))
    (line,) = chart.iter("polyline")
    left, right, bottom, top = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM, TOP
    assert points(line) == [(left, bottom), ((left + right) / 2, (bottom + top) / 2), (right, top)]
    assert [dot.find("title").text for dot in chart.iter("circle")] == ["one: 0 at 0", "one: 0.5 at 0.5", "one: 1 at 1"]


def test_what_is_no_number_is_left_out():
    values = [1.0, math.nan, 3.0, math.inf]
    chart = parsed(line_chart("Loss", [Line("", [1, 2, 3, 4], values)], Axis("epoch", whole=True), Axis("")))
    assert len(points(next(chart.iter("polyline")))) == 2 and len(list(chart.iter("circle"))) == 2
    assert chart.find("svg").attrib["aria-label"] == "Loss by epoch: Loss from 1 to 3"


@pytest.mark.parametrize("values", [[], [math.nan, math.nan], [0.0], [5.0, 5.0], [-1e-9, 1e-9], [1e9, 2e9]])
def test_odd_values_make_a_chart(values):
    html = line_chart("t", [Line("a", range(1, len(values) + 1), values)], Axis("epoch", whole=True), Axis(""))
    chart = parsed(html)
    assert "nan" not in html.lower().replace("aria", "")
    assert ("no values" in html) == (not np.isfinite(values).any())
    assert all(0 <= down <= HEIGHT for line in chart.iter("polyline") for _, down in points(line))


def test_text_is_escaped():
    html = line_chart("<b>&", [Line("<i>", [1], [1]), Line("</svg>", [1], [2])], Axis("<x>"), Axis(""))
    assert parsed(html).find("figcaption").text == "<b>&"
    assert [item[0].tail for item in parsed(html).iter("li")] == ["<i>", "</svg>"]


def test_a_long_line_has_no_dots():
    html = line_chart("t", [Line("a", range(500), range(500))], Axis("x"), Axis(""))
    assert "<circle" not in html and len(points(next(parsed(html).iter("polyline")))) == 500


@pytest.mark.parametrize(
    ("low", "high", "whole", "steps"),
    [
        (0, 1, False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (1, 3, True, [1, 2, 3]),
        (1, 100, True, [20, 40, 60, 80, 100]),
        (0.051, 0.112, False, [0.06, 0.08, 0.1]),
        (5, 5, False, [5]),
    ],
)
def test_round_steps(low, high, whole, steps):
    assert round_steps(low, high, whole=whole) == pytest.approx(steps)


def test_numbers_are_short():
    assert [number(v) for v in (0, 0.1 + 0.2, 100, 1e-4, 2e-5, 0.05)] == ["0", "0.3", "100", "1e-4", "2e-5", "0.05"]


def test_a_mark_stands_at_its_place():
    html = line_chart("t", [Line("a", [1, 2, 3], [1, 2, 3])], Axis("epoch", whole=True), Axis(""), mark=3)
    assert float(re.search(r'class="mark" x1="([\d.]+)"', html)[1]) == WIDTH - RIGHT
