"""The findings of a label audit as records, for files and programs, and in words."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from yolo.data.convert.records import shown
from yolo.engine.label_audit import CERTAIN, AuditedImage, LabelAudit, class_of
from yolo.io.files import write_text_atomic
from yolo.metrics.disagreement import KINDS, Disagreement

_SIDES: Final = ("x1", "y1", "x2", "y2")
_COLUMNS: Final = (
    *("score", "kind", "image", "split", "label_file", "line", "label_class"),
    *(f"label_{side}" for side in _SIDES),
    *("detection_class", "confidence", *(f"detection_{side}" for side in _SIDES), "iou", "text"),
)
_MOST_SHOWN: Final = 10
_MOST_CLASSES: Final = 30
_LONGEST: Final = 400


def records(audit: LabelAudit) -> list[dict[str, Any]]:
    """A dict for each finding, the highest score first; boxes are x1, y1, x2, y2 in pixels, or None."""
    return [_record(image, one, audit.names) for image, one in audit.findings()]


def write_list(audit: LabelAudit, folder: Path) -> Path:
    """Write ``audit.csv`` and ``audit.json`` into ``folder``; gives the first."""
    found = records(audit)
    write_text_atomic(folder / "audit.json", json.dumps(found, ensure_ascii=False, indent=1))
    stream = io.StringIO(newline="")
    table = csv.DictWriter(stream, _COLUMNS)
    table.writeheader()
    for record in found:
        flat = {key: value for key, value in record.items() if not key.endswith("_box")}
        for name in ("label", "detection"):
            corners = record[f"{name}_box"]
            flat |= {f"{name}_{side}": value for side, value in zip(_SIDES, corners or ("",) * 4)}
        table.writerow(flat)
    return write_text_atomic(folder / "audit.csv", stream.getvalue())


def summary(audit: LabelAudit) -> dict[str, Any]:
    """Numbers: of images, labels, likely errors, findings of each kind, and the same for each class."""
    found = audit.findings()
    return {
        "images": len(audit.images),
        "labels": sum(len(image.pairing.labels) for image in audit.images),
        "likely": sum(one.score >= CERTAIN for _, one in found),
        "kinds": {kind: sum(one.kind == kind for _, one in found) for kind in KINDS},
        "classes": audit.by_class(),
    }


def summary_lines(audit: LabelAudit, weights: Sequence[str]) -> Iterator[str]:
    """For people: how many findings of each kind and class, and the worst images."""
    numbers = summary(audit)
    against = ", ".join(weights)
    images = "1 image" if numbers["images"] == 1 else f"{numbers['images']} images"
    yield shown(f"label audit: {images}, {numbers['labels']} labels beside what {against} finds", _LONGEST)
    classes = {name: row for name, row in numbers["classes"].items() if any(row[kind] for kind in KINDS)}
    listed = sorted(classes, key=lambda name: -sum(classes[name][kind] for kind in KINDS))[:_MOST_CLASSES]
    width = max([5, *map(len, map(shown, listed))])
    yield f"{'class':>{width}}{'labels':>8}" + "".join(f"{kind:>12}" for kind in KINDS)
    for name in listed:
        row = classes[name]
        yield f"{shown(name):>{width}}{row['labels']:>8}" + "".join(f"{row[kind]:>12}" for kind in KINDS)
    if len(classes) > len(listed):
        yield f"and {len(classes) - len(listed)} more classes"
    for image in [image for image in audit.images if image.found][:_MOST_SHOWN]:
        yield shown(f"{image.score:.2f}  {image.seen.path}: {words(image, image.found[0], audit.names)}", _LONGEST)
    yield f"{sum(numbers['kinds'].values())} findings, {numbers['likely']} with a score of {CERTAIN:g} or more"


def words(image: AuditedImage, one: Disagreement, names: Sequence[str]) -> str:
    """A finding in a few words, with the label's line where it has one."""
    rows, name = image.pairing, names[class_of(image, one)]
    if one.kind == "missed":
        return f"{name} without a label ({rows.detections[one.detection, 4]:.2f})"
    label = f"{name}{_place(image, one.label)}"
    if one.kind == "spurious":
        return f"{label} is not found"
    if one.kind == "duplicate":
        return f"{label} is labelled twice{_place(image, one.other, ': ')} (IoU {one.iou:.2f})"
    found = rows.detections[one.detection]
    if one.kind == "shifted":
        return f"{label} is found elsewhere ({found[4]:.2f}, IoU {one.iou:.2f})"
    return f"{label} is found as {names[int(found[5])]} ({found[4]:.2f})"


def _place(image: AuditedImage, label: int, before: str = " of ") -> str:
    line = image.line(label)
    return f"{before}line {line}" if line is not None else ""


def _record(image: AuditedImage, one: Disagreement, names: Sequence[str]) -> dict[str, Any]:
    rows = image.pairing
    label = None if one.label is None else rows.labels[one.label]
    detection = None if one.detection is None else rows.detections[one.detection]
    return {
        "score": round(one.score, 4),
        "kind": one.kind,
        "image": str(image.seen.path),
        "split": image.split,
        "label_file": str(image.seen.label_file),
        "line": None if label is None else image.line(one.label),
        "label_class": None if label is None else names[int(label[0])],
        "label_box": None if label is None else _box(label[1:]),
        "detection_class": None if detection is None else names[int(detection[5])],
        "confidence": None if detection is None else round(float(detection[4]), 4),
        "detection_box": None if detection is None else _box(detection[:4]),
        "iou": round(one.iou, 4),
        "text": words(image, one, names),
    }


def _box(corners: np.ndarray) -> list[float]:
    return [round(float(value), 1) for value in corners]
