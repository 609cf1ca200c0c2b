"""A validation in words and in JSON."""

from __future__ import annotations

import math
from typing import Any

from yolo.engine.validator import Validation

HEADER = f"{'class':>22}{'images':>9}{'labels':>9}{'P':>9}{'R':>9}{'mAP50':>9}{'mAP50-95':>10}"


def metrics_table(validation: Validation, names: tuple[str, ...], *, every_class: bool) -> str:
    """The table YOLOv5's users know: one line for all classes, then one for each on request."""
    metrics = validation.metrics
    rows = [("all", metrics.labels, metrics.precision, metrics.recall, metrics.map50, metrics.map50_95)]
    if every_class:
        columns = (metrics.classes, metrics.counts, metrics.p, metrics.r, metrics.ap50, metrics.ap)
        rows += [(names[int(category)], *values) for category, *values in zip(*columns)]
    lines = [HEADER]
    for name, labels, *scores in rows:
        lines.append(f"{name:>22}{validation.pictures:>9}{int(labels):>9}{''.join(f'{s:9.3f}' for s in scores)}")
    return "\n".join(lines)


def validation_json(validation: Validation, names: tuple[str, ...]) -> dict[str, Any]:
    """``metrics``, ``per_class`` and ``speed_ms`` of a command's JSON; a value that is no number becomes null."""
    metrics = validation.metrics
    columns = (metrics.classes, metrics.counts, metrics.p, metrics.r, metrics.ap50, metrics.ap)
    return {
        "metrics": _numbers(
            precision=metrics.precision, recall=metrics.recall, map50=metrics.map50, map50_95=metrics.map50_95
        ),
        "per_class": [
            {"class": int(c), "name": names[int(c)], "labels": int(n)}
            | _numbers(precision=p, recall=r, map50=ap50, map50_95=ap)
            for c, n, p, r, ap50, ap in zip(*columns)
        ],
        "speed_ms": _numbers(**validation.speed_ms),
    }


def _numbers(**values: float) -> dict[str, float | None]:
    return {name: float(value) if math.isfinite(value) else None for name, value in values.items()}
