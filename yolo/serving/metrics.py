"""What the server counts, as Prometheus reads it.

The text format is a few lines; a library for it would be one more package that has to be kept.
"""

from __future__ import annotations

import bisect
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES: Final = (1, 2, 4, 8, 16, 32, 64)
STAGES: Final = ("receive", "decode", "wait", "detect")


class Histogram:
    """How many values were at most each of ``bounds``, their sum and number. Threads may share it."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds, self._lock = tuple(bounds), threading.Lock()
        self._counts, self._sum = [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        with self._lock:
            self._counts[bisect.bisect_left(self._bounds, value)] += 1
            self._sum += value

    def lines(self, name: str, label: str = "") -> list[str]:
        """Its samples; ``label`` is one such as ``stage="wait"``."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        lines, below, comma = [], 0, "," if label else ""
        for bound, count in zip((*map(_number, self._bounds), "+Inf"), counts):
            below += count
            lines.append(f'{name}_bucket{{{label}{comma}le="{bound}"}} {below}')
        braces = f"{{{label}}}" if label else ""
        return [*lines, f"{name}_sum{braces} {_number(total)}", f"{name}_count{braces} {below}"]


class Metrics:
    """Everything that ``/metrics`` shows but what is asked for at that moment, the gauges."""

    def __init__(self) -> None:
        self._lock, self._statuses = threading.Lock(), Counter[int]()
        self.request_seconds = Histogram(SECONDS)
        """Of those answered with 200, from the request's head to its answer."""
        self.stage_seconds = {stage: Histogram(SECONDS) for stage in STAGES}
        self.batch_size = Histogram(SIZES)

    def count(self, status: int) -> None:
        with self._lock:
            self._statuses[status] += 1

    @property
    def statuses(self) -> dict[int, int]:
        """Requests by the status that answered them; 499: the client was gone."""
        with self._lock:
            return dict(sorted(self._statuses.items()))

    def text(self, gauges: Mapping[str, tuple[str, Callable[[], int]]]) -> str:
        """``gauges``: name -> what it is, and what gives its value."""
        lines = _head("yolo_requests_total", "counter", "Requests to /v1/detect by status; 499: the client was gone.")
        lines += [f'yolo_requests_total{{status="{status}"}} {count}' for status, count in self.statuses.items()]
        for name, (meaning, value) in gauges.items():
            lines += [*_head(name, "gauge", meaning), f"{name} {value()}"]
        lines += _head("yolo_request_seconds", "histogram", "From a request's head to its answer, where that is 200.")
        lines += self.request_seconds.lines("yolo_request_seconds")
        lines += _head("yolo_stage_seconds", "histogram", "Of a request: body, decoding, queue, network.")
        for stage, histogram in self.stage_seconds.items():
            lines += histogram.lines("yolo_stage_seconds", f'stage="{stage}"')
        lines += _head("yolo_batch_size", "histogram", "Images that went through the network together.")
        lines += self.batch_size.lines("yolo_batch_size")
        return "\n".join([*lines, ""])


def _head(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]


def _number(value: float) -> str:
    return repr(round(value, 9)) if value % 1 else str(int(value))
