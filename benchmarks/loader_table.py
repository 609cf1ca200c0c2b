"""What was measured of loaders as rows, and what devices would need."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.driver import Measurement
from benchmarks.scaling_table import COCO_IMAGES, PUBLISHED_SECONDS
from benchmarks.table import Row

REFERENCE, FLOOR = "torch", "decode"
NAMES = {
    REFERENCE: "PyTorch-style",
    "opencv": "OpenCV",
    "native": "native",
    "dali": "DALI (CPU)",
    "dali-gpu": "DALI (GPU)",
    FLOOR: "four whole JPEGs, decoding alone",
}
"""By the names of ``--loaders``."""
COLUMNS = {
    "loader": "loader",
    "source": "from",
    "workers": "workers",
    "mosaics_s": "mosaics/s",
    "cpu_ms": "CPU ms",
    "spread": "spread",
    "torch_cpu_ratio": "CPU / PyTorch",
    "opencv_cpu_ratio": "CPU / OpenCV",
    "torch_speed_ratio": "speed / PyTorch",
    "peak_rss_mb": "peak MB",
    "slowest": "slowest stage",
    "others": "by others",
}
"""spread: of the times of an epoch; others: samples of an epoch that the loader's first renderer did not make."""

_EPOCHS, _DAY = 300, 86_400
_V100_DAYS = {"yolov5n": 1, "yolov5s": 2, "yolov5m": 4, "yolov5l": 6, "yolov5x": 8}
"""Published: days of 300 epochs of COCO at 640 on one V100."""
_CPU_STEPS = {
    "2 cores with AVX2 alone, fp32": {"yolov5n": 0.704, "yolov5s": 2.421},
    "2 cores with AVX-512 and bf16": {"yolov5n": 0.136, "yolov5s": 0.333},
}
"""Seconds of a training step of 16 images of 320x320 (README.md); at 640 it has four times as many pixels."""
_STEP_IMAGES, _PIXELS = 16, 4
PUBLISHED_SIZE = 640
DEVICE_TITLE = (
    "What one device trains of 640x640 (V100, A100: published times; cores: a quarter of README's images/s at 320), "
    "and what part of it so many cores make from files (below 1 it waits)"
)


def loader_rows(found: Sequence[Measurement]) -> list[Row]:
    """One row a measurement, the same source and workers together; ratios are within such a group."""
    rows = sorted(map(_row, found), key=_place)
    known = {(row["name"], row["source"], row["workers"]): row for row in rows}
    for row in rows:
        if row["name"] == FLOOR:
            continue
        for name, measure, key in (
            (REFERENCE, "cpu", "cpu_ms"),
            ("opencv", "cpu", "cpu_ms"),
            (REFERENCE, "speed", "mosaics_s"),
        ):
            other = known.get((name, row["source"], row["workers"]), {}).get(key)
            row[f"{name}_{measure}_ratio"] = round(row[key] / other, 3) if row[key] and other else None
    return rows


def device_rows(rows: Sequence[Row]) -> list[Row]:
    """One row a device and model; columns ``<loader>_<workers>_ratio``: mosaics/s made divided by those it trains."""
    found = []
    for device, model, rate in needs():
        row = {"device": device, "model": model, "needs_s": round(rate, 1)}
        for key, made in _rates(rows).items():
            row[key] = round(made / rate, 3)
        found.append(row)
    return found


def device_columns(rows: Sequence[Row]) -> dict[str, str]:
    """Headings of ``device_rows``."""
    headings = {}
    for key in _rates(rows):
        name, workers, _ = key.rsplit("_", 2)
        headings[key] = f"{NAMES[name]} ×{workers}"
    return {"device": "device", "model": "model", "needs_s": "images/s", **headings}


def needs() -> list[tuple[str, str, float]]:
    """Device, model, and the images/s of 640x640 that it trains."""
    found = [("V100", model, COCO_IMAGES * _EPOCHS / (days * _DAY)) for model, days in _V100_DAYS.items()]
    found.append(("A100", "yolov5l", COCO_IMAGES / PUBLISHED_SECONDS[1][0]))
    for device, steps in _CPU_STEPS.items():
        found += [(device, model, _STEP_IMAGES / seconds / _PIXELS) for model, seconds in steps.items()]
    return found


def _rates(rows: Sequence[Row]) -> dict[str, float]:
    return {
        f"{row['name']}_{row['workers']}_ratio": row["mosaics_s"]
        for row in rows
        if row["source"] == "files" and row["name"] != FLOOR and row["mosaics_s"]
    }


def _place(row: Row) -> tuple:
    return row["name"] == FLOOR, row["source"], row["workers"], list(NAMES).index(row["name"])


def _row(found: Measurement) -> Row:
    contender, figures = found.contender, found.figures
    options = contender.options
    rates = [1000 * count / ms for count, ms in zip(figures.get("mosaics", ()), found.ms)]
    stages = {
        name: statistics.median(figures[f"{name}_share"]) for name in ("plan", "render") if f"{name}_share" in figures
    }
    return {
        "name": contender.name,
        "loader": NAMES[contender.name],
        "ours": contender.ours,
        "source": "ram" if options.get("cached") else "files",
        "workers": options.get("workers", 1),
        "mosaics_s": _median(rates, 1),
        "cpu_ms": _median(figures.get("cpu_ms", ()), 2),
        "spread": found.spread and round(found.spread, 3),
        "peak_rss_mb": found.peak_rss_mb and round(found.peak_rss_mb),
        "labels": _median(figures.get("labels", ()), 1),
        "queued": _median(figures.get("queued", ()), 2),
        "others": int(max(figures["others"])) if figures.get("others") else None,
        "slowest": max(stages, key=stages.__getitem__) if stages else None,
        "runs": len(found.ms),
        "note": found.failure,
    }


def _median(values: Sequence[float], digits: int) -> float | None:
    return round(statistics.median(values), digits) if values else None
