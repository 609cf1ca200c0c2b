"""A training run over its epochs: ``results.png`` from ``results.csv``."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from yolo.errors import DataError
from yolo.plots.figures import ACCENT, GREY, new_figure, quiet, save_figure, say_empty

Floats = NDArray[np.float64]
PANELS = (
    ("train/box_loss", "train/obj_loss", "train/cls_loss", "metrics/precision", "metrics/recall"),
    ("val/box_loss", "val/obj_loss", "val/cls_loss", "metrics/mAP_0.5", "metrics/mAP_0.5:0.95"),
)


def read_results(path: str | Path) -> dict[str, Floats]:
    """Columns of a ``results.csv`` by name; NaN where a value is missing or no number.

    Raises DataError when the file cannot be read or has no ``epoch`` column.
    """
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            lines = [line for line in csv.reader(stream) if line]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", where=path) from error
    header = [name.strip() for name in lines[0]] if lines else []
    if "epoch" not in header:
        raise DataError("has no 'epoch' column", where=path, hint="give the results.csv of a training run")
    cells = [[_number(text) for text in line[: len(header)]] for line in lines[1:]]
    cells = [line + [np.nan] * (len(header) - len(line)) for line in cells]
    table = np.array(cells, np.float64).reshape(-1, len(header))
    return {name: table[:, column] for column, name in enumerate(header)}


def plot_results(table: str | Path, path: str | Path | None = None) -> Path:
    """Draw the CSV file ``table`` into ``path`` (``results.png`` beside it) and return the plot's path."""
    columns = read_results(table)
    figure = new_figure(15, 6)
    grid = figure.subplots(*np.shape(PANELS))
    for axes, name in zip(grid.flat, np.ravel(PANELS).tolist()):
        quiet(axes)
        axes.set_title(name, fontsize=10, color=GREY)
        values = columns.get(name, np.zeros(0))
        if np.isfinite(values).any():
            _panel(axes, columns["epoch"] + 1, values)  # the file counts from 0, people and the console from 1
        else:
            axes.set(xticks=[], yticks=[])
            say_empty(axes, "no values")
    for axes in grid[-1]:
        axes.set_xlabel("epoch", fontsize=8, color=GREY)
    handles, labels = next((a.get_legend_handles_labels() for a in grid.flat if a.lines), ((), ()))
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return save_figure(figure, path or Path(table).with_name("results.png"))


def smoothed(values: Floats, sigma: float | None = None) -> Floats:
    """``values [n]`` under a Gaussian of ``sigma`` epochs (3, less in a short run).

    What is no number is left out of the means.
    """
    sigma = sigma or float(np.clip(len(values) / 12, 0.5, 3))
    distance = np.subtract.outer(np.arange(len(values)), np.arange(len(values)))
    weights = np.exp(-0.5 * (distance / sigma) ** 2) * np.isfinite(values)
    total = weights.sum(1)
    sums = weights @ np.where(np.isfinite(values), values, 0)
    return np.divide(sums, total, out=np.full(len(values), np.nan), where=total > 0)


def _panel(axes: Axes, epochs: Floats, values: Floats) -> None:
    axes.plot(epochs, values, color="0.7", linewidth=1, marker="o", markersize=2.5, label="each epoch")
    axes.plot(epochs, smoothed(values), color=ACCENT, linewidth=2, label="smoothed")
    if np.isfinite(epochs).any():
        axes.set_xlim(np.nanmin(epochs) - 0.5, np.nanmax(epochs) + 0.5)
    if len(epochs) == 1:
        axes.set_xticks(epochs)
        return
    axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
