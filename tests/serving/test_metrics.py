"""The figures, in Prometheus's text format."""

from __future__ import annotations

import re
import threading

from yolo.serving.metrics import Histogram, Metrics

SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? (\d+(\.\d+)?(e-?\d+)?)')
COMMENT = re.compile(r"# (HELP [a-z_]+ .+|TYPE [a-z_]+ (counter|gauge|histogram))")


def test_a_histogram_counts_what_is_at_most_a_bound() -> None:
    histogram = Histogram((0.5, 1, 2))
    for value in (0.25, 0.5, 1.5, 3):
        histogram.observe(value)
    assert histogram.lines("h", 'stage="x"') == [
        'h_bucket{stage="x",le="0.5"} 2',
        'h_bucket{stage="x",le="1"} 2',
        'h_bucket{stage="x",le="2"} 3',
        'h_bucket{stage="x",le="+Inf"} 4',
        'h_sum{stage="x"} 5.25',
        'h_count{stage="x"} 4',
    ]
    assert Histogram((1,)).lines("h") == ['h_bucket{le="1"} 0', 'h_bucket{le="+Inf"} 0', "h_sum 0", "h_count 0"]


def test_every_line_is_one_of_the_format() -> None:
    metrics = Metrics()
    for status in (429, 200, 200):
        metrics.count(status)
    metrics.request_seconds.observe(1e-7)
    text = metrics.text({"yolo_queue_length": ("Images that wait.", lambda: 3)})
    assert text.endswith("\n")
    for line in text.splitlines():
        assert SAMPLE.fullmatch(line) or COMMENT.fullmatch(line), line
    lines = text.splitlines()
    assert 'yolo_requests_total{status="200"} 2' in lines and 'yolo_requests_total{status="429"} 1' in lines
    assert "yolo_queue_length 3" in lines
    named = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    samples = {re.sub(r"_(bucket|sum|count)$", "", re.split(r"[{ ]", line)[0]) for line in lines if line[0] != "#"}
    assert named == samples


def test_threads_may_share_them() -> None:
    histogram, metrics = Histogram((1,)), Metrics()

    def work() -> None:
        for _ in range(1000):
            histogram.observe(1)
            metrics.count(200)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert histogram.lines("h")[-1] == "h_count 4000" and metrics.statuses == {200: 4000}
