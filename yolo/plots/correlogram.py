"""How the labels' places and sizes hang together: ``labels_correlogram.jpg``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from yolo.plots.figures import ACCENT, GREY, new_figure, quiet, save_figure, say_empty

VARIABLES = ("x", "y", "width", "height")
BINS = 50


def plot_correlogram(labels: ArrayLike, path: str | Path) -> Path:
    """Write a triangle of panels: each of x, y, width and height alone, and each pair of them as a density.

    ``labels [n, 5]``: class, xywhn, of all images together.
    """
    boxes = np.asarray(labels, np.float32).reshape(-1, 5)[:, 1:]
    figure = new_figure(10, 10)
    figure.suptitle(f"Places and sizes of {len(boxes)} labels (fractions of the image)", color=GREY, fontsize=11)
    grid = figure.subplots(4, 4)
    for row, vertical in enumerate(VARIABLES):
        for column, horizontal in enumerate(VARIABLES):
            axes = grid[row, column]
            if column > row:
                axes.set_visible(False)
                continue
            quiet(axes)
            axes.set_xlim(0, 1)
            axes.set_box_aspect(1)
            if row == column:
                _alone(axes, boxes[:, row])
            else:
                _pair(axes, boxes[:, column], boxes[:, row])
            axes.tick_params(labelbottom=row == 3, labelleft=column == 0 and row > 0)
            if row == 3:
                axes.set_xlabel(horizontal, color=GREY)
            if column == 0:
                axes.set_ylabel(vertical if row else "", color=GREY)
    return save_figure(figure, path, dpi=120)


def _alone(axes: Axes, values: NDArray[np.float32]) -> None:
    axes.set_yticks([])
    if len(values):
        axes.hist(values, bins=BINS, range=(0, 1), color=ACCENT)
    else:
        say_empty(axes, "no labels")


def _pair(axes: Axes, across: NDArray[np.float32], up: NDArray[np.float32]) -> None:
    axes.grid(False)
    axes.set_ylim(0, 1)
    counts, _, _ = np.histogram2d(across, up, bins=BINS, range=((0, 1), (0, 1)))
    if counts.any():
        # A root keeps the few crowded cells from hiding all the others.
        shades = np.ma.masked_equal(np.sqrt(counts.T), 0)
        axes.imshow(shades, extent=(0, 1, 0, 1), origin="lower", cmap="Blues", vmin=-0.3 * shades.max(), aspect="auto")
