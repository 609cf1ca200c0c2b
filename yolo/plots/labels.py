"""What a data set's labels look like: ``labels.jpg``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from yolo.ops import xywhn_to_xyxy
from yolo.plots.class_labels import say_fonts
from yolo.plots.colours import class_colour
from yolo.plots.figures import GREY, name_of, new_figure, quiet, save_figure, say_empty, unit_colour
from yolo.plots.fonts import shorten

OVERLAID_BOXES = 1000
NAMED_CLASSES = 100
NUMBERED_CLASSES = 20


def plot_labels(labels: ArrayLike, names: Sequence[str], path: str | Path) -> Path:
    """Write four panels: labels a class, box shapes, where the boxes lie, how big they are.

    ``labels [n, 5]``: class, xywhn, of all images together.
    """
    say_fonts(names)
    labels = np.asarray(labels, np.float32).reshape(-1, 5)
    figure = new_figure(12, 11)
    (classes, shapes), (places, sizes) = figure.subplots(2, 2)
    _class_histogram(classes, labels, names)
    _overlay(shapes, labels)
    _histogram(places, labels[:, 1:3], "Centres (fraction of the image)", ("x", "y"))
    _histogram(sizes, labels[:, 3:5], "Sizes (fraction of the image)", ("width", "height"))
    places.invert_yaxis()  # as in the image: y grows downwards
    return save_figure(figure, path, dpi=120)


def _class_histogram(axes: Axes, labels: NDArray[np.float32], names: Sequence[str]) -> None:
    quiet(axes)
    axes.grid(False, axis="x")
    axes.set_title(f"Labels a class ({len(labels)} in all)", color=GREY, fontsize=11)
    count = max(len(names), int(labels[:, 0].max(initial=0)) + 1)
    heights = np.bincount(labels[:, 0].astype(int), minlength=count)
    bars = axes.bar(range(count), heights, width=0.8, color=[unit_colour(c) for c in range(count)])
    if count <= NUMBERED_CLASSES:
        axes.bar_label(bars, color=GREY, fontsize=8, padding=1)
    spare = max(5 - count, 0) / 2  # so that a single class is no wall
    axes.set_xlim(-0.6 - spare, count - 0.4 + spare)
    axes.set_ylim(bottom=0, top=None if len(labels) else 1)
    if not len(labels):
        say_empty(axes, "no labels")
    axes.yaxis.get_major_locator().set_params(integer=True)
    step = -(-count // NAMED_CLASSES)
    shown = range(0, count, step)
    size = float(np.clip(400 / count, 5, 9))
    axes.set_xticks(shown, [shorten(name_of(names, c), 20) for c in shown], rotation=90, fontsize=size)


def _overlay(axes: Axes, labels: NDArray[np.float32]) -> None:
    some = f" (the first {OVERLAID_BOXES})" if len(labels) > OVERLAID_BOXES else ""
    axes.set_title(f"Shapes, centred{some}", color=GREY, fontsize=11)
    side = 1000
    canvas = np.full((side, side, 3), 255, np.uint8)
    boxes = labels[:OVERLAID_BOXES].copy()
    boxes[:, 1:3] = 0.5
    corners = xywhn_to_xyxy(boxes[:, 1:], (side - 1, side - 1)).round().astype(int)
    for category, (x1, y1, x2, y2) in zip(boxes[:, 0], corners.tolist()):
        cv2.rectangle(canvas, (x1, y1), (x2, y2), class_colour(category), 1, cv2.LINE_AA)
    axes.imshow(canvas)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("0.85")
    if not len(labels):
        say_empty(axes, "no labels")


def _histogram(axes: Axes, points: NDArray[np.float32], title: str, titles: tuple[str, str]) -> None:
    quiet(axes)
    axes.grid(False)
    axes.set_title(title, color=GREY, fontsize=11)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel(titles[0], color=GREY)
    axes.set_ylabel(titles[1], color=GREY)
    if not len(points):
        say_empty(axes, "no labels")
        return
    counts, _, _ = np.histogram2d(points[:, 0], points[:, 1], bins=50, range=((0, 1), (0, 1)))
    # A root keeps the few crowded cells from hiding all the others.
    shades = np.ma.masked_equal(np.sqrt(counts.T), 0)
    axes.imshow(shades, extent=(0, 1, 0, 1), origin="lower", cmap="Blues", vmin=-0.3 * shades.max())
