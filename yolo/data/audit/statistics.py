"""Figures about a data set, and all of it as text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from yolo.data.audit.findings import ERROR, NOTE, WARNING, Finding, class_counts
from yolo.data.audit.scan import Seen
from yolo.data.dataset import Dataset

_MOST_SHOWN = 10
_MOST_CLASSES = 100


def statistics(dataset: Dataset, images: Sequence[Seen], imgsz: int) -> dict[str, Any]:
    """Counts, and quantiles (least, a quarter, half, three quarters, most) of sizes; boxes at ``imgsz`` pixels."""
    usable = [seen for seen in images if seen.usable]
    shapes = np.array([seen.shape for seen in usable], float).reshape(-1, 2)
    boxes = [
        np.sqrt(seen.labels.rows[:, 3] * seen.shape[1] * seen.labels.rows[:, 4] * seen.shape[0])
        * imgsz
        / max(seen.shape)
        for seen in usable
        if seen.labels and len(seen.labels.rows)
    ]
    counts = class_counts(usable)
    return {
        "pictures": len(usable),
        "labels": sum(counts.values()),
        "without_labels": sum(not seen.labels or not len(seen.labels.rows) for seen in usable),
        "turned": sum(seen.turned for seen in usable),
        "widths": _quantiles(shapes[:, 1]),
        "heights": _quantiles(shapes[:, 0]),
        "aspects": _quantiles(shapes[:, 1] / shapes[:, 0]) if len(shapes) else [],
        "box_sides": _quantiles(np.concatenate(boxes)) if boxes else [],
        "classes": {name: counts[number] for number, name in enumerate(dataset.names)},
    }


def _quantiles(values: np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in np.quantile(values, (0, 0.25, 0.5, 0.75, 1))] if len(values) else []


def report(figures: Mapping[str, Mapping[str, Any]], found: Sequence[Finding], imgsz: int) -> Iterator[str]:
    """The lines of the text report: figures, then what was found, the gravest first."""
    for split, values in figures.items():
        images, empty, labels = (values[key] for key in ("pictures", "without_labels", "labels"))
        yield f"{split}: {_counted(images, 'image')} ({empty} without labels), {_counted(labels, 'label')}"
        for title, key, digits in (
            ("width", "widths", 0),
            ("height", "heights", 0),
            ("width / height", "aspects", 2),
            (f"box size at {imgsz} (square root of its area)", "box_sides", 1),
        ):
            if values[key]:
                least, _, half, _, most = (f"{value:.{digits}f}" for value in values[key])
                yield f"  {title}: {least}" if least == most else f"  {title}: {least} to {most}, median {half}"
    yield from _class_table(figures)
    for level in (ERROR, WARNING, NOTE):
        kinds = defaultdict(list)
        for finding in found:
            if finding.level == level:
                kinds[finding.kind, finding.split].append(finding)
        for (kind, split), some in kinds.items():
            yield f"{level}: {kind} in {split} ({len(some)})"
            yield from (f"  {finding.where}: {finding.text}" for finding in some[:_MOST_SHOWN])
            if len(some) > _MOST_SHOWN:
                yield f"  and {len(some) - _MOST_SHOWN} more (--json has all)"
    wrong = {level: sum(finding.level == level for finding in found) for level in (ERROR, WARNING)}
    yield ", ".join(_counted(number, level) for level, number in wrong.items() if number) or "no problems found"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _class_table(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if not figures:
        return
    names = list(next(iter(figures.values()))["classes"])
    width = max([5, *map(len, names[:_MOST_CLASSES])])
    yield f"{'class':>{width}}" + "".join(f"{split:>10}" for split in figures)
    for name in names[:_MOST_CLASSES]:
        yield f"{name:>{width}}" + "".join(f"{values['classes'][name]:>10}" for values in figures.values())
    if len(names) > _MOST_CLASSES:
        yield f"and {len(names) - _MOST_CLASSES} more classes (--json has all)"
