"""Precision, recall and F1 as curves: ``PR_curve.png``, ``F1_curve.png``, ``P_curve.png``, ``R_curve.png``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from yolo.metrics.average_precision import DetectionMetrics, smooth
from yolo.plots.class_labels import say_fonts
from yolo.plots.figures import GREY, name_of, new_figure, quiet, save_figure, say_empty, unit_colour
from yolo.plots.fonts import shorten

# More classes than this are drawn as one grey bundle: nobody can tell so many colours apart.
NAMED_CLASSES = 20
INK = "#202124"  # of the mean; no class has it


def plot_curves(metrics: DetectionMetrics, names: Sequence[str], folder: str | Path) -> list[Path]:
    """Write the four curves into ``folder`` and return their files."""
    say_fonts(names)
    folder = Path(folder)
    mean = f"all classes {metrics.map50:.3f} mAP@0.5"
    written = [
        _plot(folder / "PR_curve.png", metrics, metrics.pr_curve, names, ("Recall", "Precision"), mean, metrics.ap50)
    ]
    for letter, title, curves in (
        ("F1", "F1", metrics.f1_curve),
        ("P", "Precision", metrics.p_curve),
        ("R", "Recall", metrics.r_curve),
    ):
        mean = "all classes"
        if len(curves):
            height = smooth(curves.mean(0))
            best = int(height.argmax())
            mean = f"all classes {height[best]:.2f} at {metrics.px[best]:.3f}"
        file = folder / f"{letter}_curve.png"
        written.append(_plot(file, metrics, curves, names, ("Confidence", title), mean))
    return written


def _plot(
    path: Path,
    metrics: DetectionMetrics,
    curves: NDArray[np.float64],
    names: Sequence[str],
    titles: tuple[str, str],
    mean: str,
    values: NDArray[np.float64] | None = None,
) -> Path:
    figure = new_figure(9, 6)
    axes = figure.add_subplot()
    quiet(axes)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_xlabel(titles[0], color=GREY)
    axes.set_ylabel(titles[1], color=GREY)
    axes.set_title(f"{titles[1]} by {titles[0].lower()}", color=GREY, fontsize=11)
    if len(curves):
        _lines(axes, metrics, curves, names, mean, values)
        # Beside the plot, where it covers no line.
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    else:
        say_empty(axes, "no labels")
    return save_figure(figure, path)


def _lines(
    axes: Axes,
    metrics: DetectionMetrics,
    curves: NDArray[np.float64],
    names: Sequence[str],
    mean: str,
    values: NDArray[np.float64] | None,
) -> None:
    px = metrics.px
    axes.plot(px, curves.mean(0), color=INK, linewidth=3, label=mean, zorder=3)
    if len(curves) > NAMED_CLASSES:
        label = f"each of {len(curves)} classes"
        for curve in curves:
            axes.plot(px, curve, color="0.75", linewidth=0.7, label=label)
            label = None
        return
    for row, category in enumerate(metrics.classes.tolist()):
        label = shorten(name_of(names, category), 24)
        if values is not None:
            label += f" {values[row]:.3f}"
        axes.plot(px, curves[row], color=unit_colour(category), linewidth=1.2, label=label)
