"""A validation in words and in JSON."""

from __future__ import annotations

import math
from typing import Any

from yolo.engine.validator import Validation
from yolo.metrics.average_precision import precision_note

HEADER = f"{'class':>22}{'images':>9}{'labels':>9}{'P':>9}{'R':>9}{'mAP50':>9}{'mAP50-95':>10}"


def metrics_table(validation: Validation, names: tuple[str, ...], *, every_class: bool) -> str:
    """The table YOLOv5's users know: one line for all classes, then one for each on request."""
    metrics, note = validation.metrics, precision_note(validation.metrics)
    rows = [("all", bool(note), metrics.labels, metrics.precision, metrics.recall, metrics.map50, metrics.map50_95)]
    if every_class:
        columns = (metrics.undetected, metrics.counts, metrics.p, metrics.r, metrics.ap50, metrics.ap)
        rows += [(names[int(category)], *values) for category, *values in zip(metrics.classes, *columns)]
    lines = [HEADER]
    for name, marked, labels, p, *scores in rows:
        others = "".join(f"{s:9.3f}" for s in scores)
        others = f"*{others[1:]}" if marked else others
        lines.append(f"{name:>22}{validation.images:>9}{int(labels):>9}{p:9.3f}{others}")
    return "\n".join([*lines, *([f"* {note}"] if note else [])])


def validation_json(validation: Validation, names: tuple[str, ...]) -> dict[str, Any]:
    """``metrics``, ``per_class`` and ``speed_ms`` of a command's JSON; a value that is no number becomes null.

    ``undetected``: numbers of the classes whose P counts 1 without a detection.
    """
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
        "undetected": metrics.classes[metrics.undetected].tolist(),
        "speed_ms": _numbers(**validation.speed_ms),
    }


def _numbers(**values: float) -> dict[str, float | None]:
    return {name: float(value) if math.isfinite(value) else None for name, value in values.items()}
