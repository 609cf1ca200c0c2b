"""Accuracy over time: how weights compare at several image sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from yolo.plots.figures import GREY, new_figure, quiet, save_figure, unit_colour
from yolo.plots.fonts import readable


@dataclasses.dataclass(frozen=True)
class Curve:
    """One weights file: sizes in pixels, milliseconds an image, mAP50-95."""

    name: str
    sizes: Sequence[int]
    milliseconds: Sequence[float]
    map50_95: Sequence[float]


def plot_study(curves: Sequence[Curve], path: str | Path) -> Path:
    """Draw mAP50-95 over the time an image takes, a line a weights file, its sizes beside the points."""
    figure = new_figure(8, 5)
    axes = figure.subplots()
    quiet(axes)
    for number, curve in enumerate(curves):
        colour = unit_colour(number)
        label = readable(curve.name).replace("$", r"\$")
        axes.plot(curve.milliseconds, curve.map50_95, color=colour, marker="o", markersize=4, linewidth=2, label=label)
        for size, x, y in zip(curve.sizes, curve.milliseconds, curve.map50_95):
            axes.annotate(str(size), (x, y), (3, -9), textcoords="offset points", fontsize=7, color=GREY)
    axes.set_xlabel("milliseconds an image", fontsize=9, color=GREY)
    axes.set_ylabel("mAP50-95", fontsize=9, color=GREY)
    axes.set_xlim(left=0)
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    return save_figure(figure, path)
