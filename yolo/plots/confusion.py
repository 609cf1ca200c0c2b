"""The confusion matrix as a plot: ``confusion_matrix.png``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from yolo.metrics.confusion import ConfusionMatrix
from yolo.plots.class_labels import say_fonts
from yolo.plots.figures import GREY, name_of, new_figure, save_figure
from yolo.plots.fonts import shorten

# With more classes the cells are too small for a number.
NUMBERED_CLASSES = 30
# With more, even the names would overlap, and only some are shown.
NAMED_CLASSES = 120
LEAST_SHOWN = 0.005


def plot_confusion(confusion: ConfusionMatrix, names: Sequence[str], path: str | Path) -> Path:
    """Write the matrix, each column (what it was) as fractions of its labels; rows are what was predicted."""
    say_fonts(names)
    count = confusion.num_classes + 1
    labels = [shorten(name_of(names, c), 20) for c in range(confusion.num_classes)] + ["background"]
    side = float(np.clip(4.5 + 0.25 * count, 6, 18))
    figure = new_figure(side * 1.1, side)
    axes = figure.add_subplot()
    fractions = confusion.normalised()
    shown = np.where(fractions < LEAST_SHOWN, np.nan, fractions)
    cells = axes.imshow(shown, cmap="Blues", vmin=0, vmax=1)
    _ticks(axes, labels)
    if count - 1 <= NUMBERED_CLASSES:
        _numbers(axes, shown)
    axes.set_xlabel("True", color=GREY)
    axes.set_ylabel("Predicted", color=GREY)
    axes.set_title(
        f"Fractions of each true class (confidence > {confusion.conf:g}, IoU > {confusion.iou:g})",
        color=GREY,
        fontsize=10,
    )
    bar = figure.colorbar(cells, ax=axes, fraction=0.04, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, colors=GREY)
    return save_figure(figure, path)


def _ticks(axes: Axes, labels: list[str]) -> None:
    count = len(labels)
    step = -(-count // NAMED_CLASSES)
    places = list(range(0, count, step))
    size = float(np.clip(320 / count, 6, 9))
    axes.set_xticks(places, [labels[i] for i in places], rotation=90, fontsize=size)
    axes.set_yticks(places, [labels[i] for i in places], fontsize=size)
    axes.tick_params(length=0)
    axes.spines[:].set_color("0.85")
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="0.93", linewidth=0.5)
    axes.tick_params(which="minor", length=0)


def _numbers(axes: Axes, shown: NDArray[np.float64]) -> None:
    size = float(np.clip(180 / len(shown), 5.5, 11))
    for row, column in np.argwhere(np.isfinite(shown)):
        value = shown[row, column]
        colour = "white" if value > 0.5 else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=size, color=colour)
