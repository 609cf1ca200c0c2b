"""Measurements as rows, and rows as JSON or as a table."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.driver import Measurement
from yolo.runtime import machine

SCHEMA_VERSION = 1

Row = dict[str, Any]


def make_rows(model: str, measurements: Sequence[Measurement]) -> list[Row]:
    """One row a measurement; ``ratio_to_best_peer``: to the fastest contender that is not ours, of that precision."""
    rows = []
    for found in measurements:
        contender = found.contender
        rows.append(
            {
                "name": contender.name,
                "model": model,
                "precision": contender.precision,
                "ours": contender.ours,
                "median_ms": _rounded(found.median_ms, 3),
                "min_ms": _rounded(min(found.ms, default=None), 3),
                "spread": _rounded(found.spread, 3),
                "runs": len(found.ms),
                "ratio_to_best_peer": _rounded(_ratio(found, measurements), 3),
                "peak_rss_mb": _rounded(found.peak_rss_mb, 0),
                "note": found.failure,
            }
        )
    return rows


def difference(given: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> float:
    """The norm of the difference of all arrays together divided by the norm of the reference.

    Infinite where names or shapes differ, and where a number is not finite.
    """
    if {n: a.shape for n, a in given.items()} != {n: a.shape for n, a in reference.items()}:
        return math.inf
    squares = sum(float(np.square(given[n].astype(np.float64) - a).sum()) for n, a in reference.items())
    norm = sum(float(np.square(a.astype(np.float64)).sum()) for a in reference.values())
    return math.sqrt(squares / norm) if math.isfinite(squares) and norm > 0 else math.inf


def as_json(rows: Sequence[Row], **about: Any) -> str:
    """The rows with the machine, its load and what else is to be known, as one JSON object; null for no number."""
    rows = [{key: _finite(value) for key, value in row.items()} for row in rows]
    head = {"schema_version": SCHEMA_VERSION, "machine": machine(), "load": round(os.getloadavg()[0], 2), **about}
    return json.dumps({**head, "rows": rows})


def as_text(title: str, rows: Sequence[Row], columns: Mapping[str, str]) -> str:
    """A human-readable table; ``columns``: key of a row -> heading. A row's note stands at its end."""
    lines = [f"{title}; {machine()}, load {os.getloadavg()[0]:.1f}"]
    cells = [[_cell(key, row.get(key)) for key in columns] for row in rows]
    widths = [max(len(line[at]) for line in [list(columns.values()), *cells]) for at in range(len(columns))]
    for line, note in zip([list(columns.values()), *cells], ["", *(row.get("note") for row in rows)]):
        text = "  ".join(c.ljust(w) if at < 3 else c.rjust(w) for at, (c, w) in enumerate(zip(line, widths)))
        lines.append(f"{text}  {note or ''}".rstrip())
    return "\n".join(lines)


def _ratio(found: Measurement, measurements: Sequence[Measurement]) -> float | None:
    peers = [
        other.median_ms
        for other in measurements
        if other.ms and not other.contender.ours and other.contender.precision == found.contender.precision
    ]
    return found.median_ms / min(peers) if found.ms and peers else None


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _cell(key: str, value: object) -> str:
    if value is None:
        return "–"
    if key == "spread" or key.endswith("_share"):
        return f"{100 * value:.0f} %"
    if key == "ratio_to_best_peer" or key.endswith("_ratio"):
        return f"{value:.2f}"
    if key == "peak_rss_mb":
        return f"{value:.0f}"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if key in ("map50", "map50_95", "lost"):
        return f"{value:.4f}"
    if isinstance(value, float):
        return f"{value:.1f}" if key.endswith(("_ms", "_s", "_us")) else f"{value:.1e}"
    return str(value)
