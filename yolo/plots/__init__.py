"""Plots and annotated pictures, by matplotlib's Agg canvas and OpenCV; nothing here needs a display."""

from yolo.plots.annotate import Annotator, annotate
from yolo.plots.batch import plot_batch
from yolo.plots.confusion import plot_confusion
from yolo.plots.curves import plot_curves
from yolo.plots.labels import plot_labels
from yolo.plots.results import plot_results

__all__ = [
    "Annotator",
    "annotate",
    "plot_batch",
    "plot_confusion",
    "plot_curves",
    "plot_labels",
    "plot_results",
]
