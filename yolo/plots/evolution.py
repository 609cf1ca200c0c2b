"""A search over hyperparameters: ``evolve.png``, fitness against each of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

import numpy as np

from yolo.plots.figures import ACCENT, GREY, new_figure, quiet, save_figure

COLUMNS = 5


class Table(Protocol):
    """Generations: their fitness, and ``names``' values by name in ``rows``."""

    names: tuple[str, ...]
    rows: list[dict[str, float]]

    def fitness(self) -> list[float]: ...

    def best(self) -> int: ...


def plot_evolution(table: Table, path: str | Path) -> Path:
    """Draw a panel for each hyperparameter: a dot a generation, later ones darker, a cross on the fittest."""
    rows = math.ceil(len(table.names) / COLUMNS)
    height = 2.1 * rows + 0.8
    figure = new_figure(2.6 * COLUMNS, height)
    figure.set_layout_engine(None)  # measuring so many panels takes seconds, and all of them are alike
    figure.subplots_adjust(left=0.05, right=0.98, bottom=0.4 / height, top=1 - 0.8 / height, wspace=0.1, hspace=0.45)
    grid = np.ravel(figure.subplots(rows, COLUMNS, squeeze=False))
    fitness, best = table.fitness(), table.best()
    for axes, name in zip(grid, table.names):
        values = [row[name] for row in table.rows]
        quiet(axes)
        axes.scatter(values, fitness, c=np.arange(len(values)), cmap="Blues", vmin=-len(values), s=14, linewidths=0)
        axes.plot(values[best], fitness[best], "+", color=ACCENT, markersize=14, markeredgewidth=2)
        axes.set_title(f"{name} = {values[best]:.3g}", fontsize=9, color=GREY)
        axes.margins(0.1)
        axes.locator_params(axis="x", nbins=4)
    for axes in grid[len(table.names) :]:
        axes.set_visible(False)
    for axes in grid[::COLUMNS]:
        axes.set_ylabel("fitness", fontsize=8, color=GREY)
    generations = "1 generation" if len(table.rows) == 1 else f"{len(table.rows)} generations"
    figure.suptitle(f"{generations}, best fitness {fitness[best]:.3g}", fontsize=11, color=GREY)
    return save_figure(figure, path, dpi=120)
