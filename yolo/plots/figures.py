"""Matplotlib figures without pyplot: no global state, so any thread may draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from yolo.io.files import write_atomic
from yolo.plots.class_labels import class_label
from yolo.plots.colours import class_colour
from yolo.plots.fonts import families

GREY = "#5f6368"
ACCENT = "#1e5fbf"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, ``width`` × ``height`` inches, on the Agg canvas."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | Path, dpi: int = 150) -> Path:
    """Write ``figure`` in the format of ``path``'s suffix, whole or not at all."""
    for text in figure.findobj(Text):
        if not text.get_text().isascii():
            text.set_fontfamily(families(text.get_text()))
    return write_atomic(path, lambda temporary: figure.savefig(temporary, dpi=dpi))


def quiet(axes: Axes) -> None:
    """Take away what is not data: upper and right border; a faint grid behind."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=GREY, labelsize=8)
    axes.grid(True, color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)


def unit_colour(category: int) -> tuple[float, ...]:
    """A class's colour as matplotlib wants it: 0…1."""
    return tuple(channel / 255 for channel in class_colour(category))


def say_empty(axes: Axes, text: str) -> None:
    """``text`` in the middle of axes that have nothing to show."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)


def name_of(names: Sequence[str], category: int) -> str:
    """What ``class_label`` gives, for matplotlib."""
    return class_label(names, category).replace("$", r"\$")  # else matplotlib reads mathematics between two of them
