"""What a loader did, in words and in JSON."""

from __future__ import annotations

from types import SimpleNamespace

from yolo.data.stages import PipelineReport
from yolo.engine.loading import loading_json, says_rendered


def test_the_json():
    report = PipelineReport(8.0, 1.0, {"plan": 0.5, "render": 7.5}, 0.125, 2)
    loader = SimpleNamespace(report=lambda: report, rendered=lambda: {"A": 3})
    assert loading_json(loader) == {
        "waiting_share": 0.125,
        "bottleneck": "render",
        "queued": 0.12,
        "ahead": 2,
        "rendered": {"A": 3},
    }
    loader.report = lambda: None
    assert loading_json(loader) is None


def test_renderers_are_worth_a_line_where_there_are_several():
    assert says_rendered() == says_rendered({}, {"A": 3}) == says_rendered({"A": 3}, {"A": 1}) == ""
    assert says_rendered({"A": 3, "B": 1}, {"A": 2}) == "samples rendered: 5 by A, 1 by B"
    assert says_rendered({"A": 3}, {"B": 1}) == "samples rendered: 3 by A, 1 by B"
