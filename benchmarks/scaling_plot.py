"""Scaling as a plot: images a second and efficiency over ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.scaling_model import Link, Prediction
from benchmarks.table import Row
from yolo.io.files import write_atomic


def draw_scaling(
    path: Path,
    rows: Sequence[Row],
    published: Sequence[Row],
    predictions: Mapping[Link, Sequence[Prediction]],
    batch: int,
) -> None:
    """Write ``path`` (a PNG): measured and published runs as points, predictions as lines; ``batch`` is a rank's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    rate, efficiency = figure.subplots(1, 2)
    for name, marker, found in (("measured", "o", rows), ("published, 8×A100, YOLOv5l", "s", published)):
        done = [row for row in found if row.get("images_s")]
        ranks = [row["ranks"] for row in done]
        rate.plot(ranks, [row["images_s"] for row in done], marker, label=name)
        known = [row for row in done if row.get("efficiency") is not None]
        efficiency.plot([row["ranks"] for row in known], [100 * row["efficiency"] for row in known], marker, label=name)
    for link, line in predictions.items():
        ranks = [one.ranks for one in line]
        rate.plot(ranks, [batch * one.ranks / one.seconds for one in line], label=f"model, {link.name}")
        efficiency.plot(ranks, [100 * one.efficiency for one in line], label=f"model, {link.name}")
    for axes, title in ((rate, "images/s"), (efficiency, "efficiency, %")):
        axes.set(xlabel="ranks", ylabel=title)
        axes.set_xscale("log", base=2)
        axes.grid(alpha=0.3)
    rate.set_yscale("log")
    efficiency.set_ylim(0, 105)
    efficiency.legend(fontsize="small")
    write_atomic(path, lambda temporary: figure.savefig(temporary, format="png"))
