"""What was measured and predicted of scaling, as rows and as Markdown."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from benchmarks.scaling_model import ASSUMPTIONS, Link, Prediction, StepModel
from benchmarks.scaling_runs import Figures
from benchmarks.table import Row

PUBLISHED_TITLE = "Published: YOLOv5l on 8×A100-SXM4-40GB, one COCO epoch (public multi-GPU guide)"
COCO_IMAGES = 118_287
PUBLISHED_SECONDS = {1: (1239, 55), 2: (703, 57), 4: (357, 55), 8: (189, 57)}
"""Ranks -> train, val."""
PUBLISHED_BATCH, PUBLISHED_MEMORY_MB = 16, 26_000
_HEADINGS = {
    "ranks": "ranks",
    "batch": "total batch",
    "memory_mb": "memory of rank 0",
    "train_s": "train",
    "val_s": "val",
    "images_s": "images/s",
    "efficiency": "efficiency",
    "data_share": "data",
    "compute_share": "compute",
    "exchange_share": "communication",
    "other_share": "other",
    "startup_s": "start-up",
    "note": "",
}


def measured_row(model: str, batch: int, found: Figures, alone: Figures | None, note: str = "") -> Row:
    """A run's row; ``batch`` is a rank's, and without a run of one rank there is no efficiency."""
    images = batch * found.ranks / found.step
    single = batch / alone.step if alone else None
    return {
        **_head(model, found.ranks, batch * found.ranks),
        "memory_mb": round(found.memory_mb),
        "train_s": round(found.train, 2),
        "val_s": round(found.val, 2),
        "images_s": round(images, 2),
        "efficiency": round(images / (found.ranks * single), 4) if single else None,
        **_shares(found, alone),
        "startup_s": round(found.startup, 2),
        "note": note,
    }


def failed_row(model: str, batch: int, ranks: int, why: str) -> Row:
    """The row of a run of which there is nothing to say but why."""
    return {**_head(model, ranks, batch * ranks), "note": why}


def published_rows() -> list[Row]:
    """images/s and efficiency follow from the times and COCO's training images."""
    rows = []
    for ranks, (train, val) in PUBLISHED_SECONDS.items():
        head = {**_head("yolov5l", ranks, PUBLISHED_BATCH * ranks), "name": "published", "ours": False}
        rate, single = COCO_IMAGES / train, COCO_IMAGES / PUBLISHED_SECONDS[1][0]
        times = {"memory_mb": PUBLISHED_MEMORY_MB, "train_s": train, "val_s": val}
        rows.append({**head, **times, "images_s": round(rate, 1), "efficiency": round(rate / single / ranks, 4)})
    return rows


def exchange_lines(found: Figures, alone: Figures) -> list[str]:
    """The time that a step of several ranks loses to their exchange, and to what else."""
    lost, update = found.step - alone.step, found.update - alone.update
    parts = {
        "update graph, all-reduce and waiting in it": update,
        "waiting for the slowest rank": found.straggling,
        "all exchange, that waiting in it": found.exchange(alone),
        "slower compute (what ranks share: memory, caches)": found.computing(alone) - alone.computing(None),
        "waiting for data": found.data - alone.data,
    }
    title = f"Time lost per step at {found.ranks} ranks, of {1e3 * found.step:.1f} ms ({1e3 * alone.step:.1f} ms alone)"
    lines = [f"{title}: {1e3 * lost:.1f} ms."]
    lines += [f"- {name}: {1e3 * value:.1f} ms ({value / found.step:.1%})" for name, value in parts.items()]
    graph = f"The update graph: {1e3 * found.update:.1f} ms at {found.ranks} ranks, {1e3 * alone.update:.1f} ms alone."
    return [*lines, graph]


def model_lines(model: StepModel) -> list[str]:
    """The fitted numbers, human-readable."""
    lines = [
        f"- one rank's step: {1e3 * model.compute:.1f} ms compute, {1e3 * model.data:.1f} ms data, "
        f"{1e3 * model.other:.1f} ms other",
        f"- spread of a rank's step: {1e3 * model.sigma:.2f} ms (standard deviation)",
        f"- reduced: {model.reduced / 1e6:.2f} MB an update, {model.updates:.2f} updates a step",
    ]
    link = model.measured_link()
    if link is None:
        return [*lines, "- no run of several ranks: nothing is known of this machine's exchange"]
    text = f"{link.bandwidth / 1e9:.2f} GB/s, {1e6 * link.latency:.0f} µs a message"
    apart = "" if model.told_apart else "; from one number of ranks alone, so all of it counts as bandwidth"
    return [*lines, f"- exchange as measured: {text}{apart}"]


def predictions_table(title: str, predictions: Mapping[Link, Sequence[Prediction]], batch: int) -> list[str]:
    """A block for each link; ``batch`` is a rank's."""
    lines = [f"### {title}", ""]
    lines += ["Assumed:", *(f"- {text}" for text in ASSUMPTIONS), ""]
    heading = ["link", "ranks", "ms a step", "images/s", "efficiency", "stragglers", "latency", "bandwidth", "limit"]
    cells = [
        [
            link.name,
            str(found.ranks),
            f"{1e3 * found.seconds:.1f}",
            f"{batch * found.ranks / found.seconds:,.0f}",
            f"{found.efficiency:.1%}",
            *(f"{1e3 * found.losses[name]:.1f} ms" for name in ("stragglers", "latency", "bandwidth")),
            found.limit,
        ]
        for link, row in predictions.items()
        for found in row
    ]
    return lines + markdown(heading, cells)


def rows_table(title: str, rows: Sequence[Row]) -> list[str]:
    """Rows as Markdown; a column that no row has is left out."""
    keys = [key for key in _HEADINGS if any(row.get(key) not in (None, "") for row in rows)]
    cells = [[_cell(key, row.get(key)) for key in keys] for row in rows]
    return [f"### {title}", "", *markdown([_HEADINGS[key] for key in keys], cells)]


def markdown(heading: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = [list(heading), ["---"] * len(heading), *(list(row) for row in cells)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def prediction_json(link: Link, found: Prediction) -> dict[str, object]:
    return {"link": link.name, **dataclasses.asdict(found)}


def _shares(found: Figures, alone: Figures | None) -> Row:
    """Of a step, by where its time goes; together 1."""
    exchange = found.exchange(alone)
    parts = {"data": found.data, "compute": found.computing(alone), "exchange": exchange}
    parts["other"] = found.step - sum(parts.values())
    return {f"{name}_share": round(seconds / found.step, 4) for name, seconds in parts.items()}


def _head(model: str, ranks: int, batch: int) -> Row:
    return {"name": "this project", "model": model, "precision": "fp32", "ours": True, "ranks": ranks, "batch": batch}


def _cell(key: str, value: object) -> str:
    if value is None:
        return "" if key == "note" else "–"
    if key.endswith("_share") or key == "efficiency":
        return f"{value:.1%}"
    if key in ("train_s", "val_s"):
        return f"{int(value) // 60}:{value % 60:04.1f}"
    if key == "startup_s":
        return f"{value:.1f} s"
    if key == "memory_mb":
        return f"{value / 1000:.1f} GB"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
