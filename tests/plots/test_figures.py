"""Figures are files that decode, of the size expected, without a warning, whatever the data."""

from __future__ import annotations

import threading
import warnings

import cv2
import numpy as np
import pytest

from yolo.errors import DataError
from yolo.metrics import MetricAccumulator
from yolo.metrics.confusion import ConfusionMatrix
from yolo.plots.confusion import plot_confusion
from yolo.plots.correlogram import plot_correlogram
from yolo.plots.curves import plot_curves
from yolo.plots.labels import plot_labels
from yolo.plots.results import PANELS, plot_results, read_results, smoothed

CURVES = ["PR_curve.png", "F1_curve.png", "P_curve.png", "R_curve.png"]
COLUMNS = ["epoch", *np.ravel(PANELS).tolist(), "x/lr0", "x/lr1", "x/lr2"]
ODD_NAMES = ["血小板", "$a_", "x" * 200, "naïve"]


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        yield


def decoded(path):
    image = cv2.imread(str(path))
    assert image is not None, path
    return image


def measured(classes, images=20):
    """Metrics and confusion of a detector that is right at about every second box."""
    rng = np.random.default_rng(classes)
    accumulator, confusion = MetricAccumulator(classes), ConfusionMatrix(classes)
    for _ in range(images):
        low = rng.uniform(0, 400, (10, 2))
        boxes = np.concatenate((low, low + rng.uniform(20, 200, (10, 2))), 1)
        category = rng.integers(0, classes, (10, 1))
        labels = np.concatenate((category, boxes), 1)
        moved = boxes + rng.normal(0, 10, boxes.shape)
        detections = np.concatenate((moved, rng.random((10, 1)), category), 1)
        accumulator.update(detections, labels)
        confusion.update(detections, labels)
    return accumulator.compute(), confusion


def write_results(path, epochs, values=lambda epoch, name: 1 / (epoch + 1)):
    lines = [", ".join(f"{name:>20}" for name in COLUMNS)]
    for epoch in range(epochs):
        lines.append(", ".join([str(epoch), *(str(values(epoch, name)) for name in COLUMNS[1:])]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("classes, names", [(1, ["a"]), (4, ODD_NAMES), (80, [str(i) for i in range(80)])])
def test_curves_and_confusion(tmp_path, classes, names):
    metrics, confusion = measured(classes)
    files = plot_curves(metrics, names, tmp_path / "new")
    assert [file.name for file in files] == CURVES
    for file in files:
        assert decoded(file).shape == (900, 1350, 3)
    image = decoded(plot_confusion(confusion, names, tmp_path / "confusion_matrix.png"))
    assert image.shape[0] >= 900 and image.std() > 5


def test_curves_and_confusion_of_nothing(tmp_path):
    for file in plot_curves(MetricAccumulator(2).compute(), [], tmp_path):
        decoded(file)
    decoded(plot_confusion(ConfusionMatrix(2), [], tmp_path / "confusion_matrix.png"))


def test_a_class_of_which_nothing_was_found(tmp_path):
    accumulator = MetricAccumulator(2)
    accumulator.update([], [(1, 0, 0, 10, 10)])
    for file in plot_curves(accumulator.compute(), ["a", "b"], tmp_path):
        decoded(file)


@pytest.mark.parametrize("classes, count", [(1, 1), (2, 0), (4, 3000), (250, 500)])
def test_labels(tmp_path, classes, count):
    rng = np.random.default_rng(0)
    labels = np.concatenate((rng.integers(0, classes, (count, 1)), rng.random((count, 4))), 1)
    names = (ODD_NAMES * 63)[:classes]
    assert decoded(plot_labels(labels, names, tmp_path / "labels.jpg")).shape == (1320, 1440, 3)


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_correlogram(tmp_path, count):
    labels = np.random.default_rng(0).random((count, 5))
    assert decoded(plot_correlogram(labels, tmp_path / "labels_correlogram.jpg")).shape == (1200, 1200, 3)


@pytest.mark.parametrize("epochs", [0, 1, 30])
def test_results(tmp_path, epochs):
    table = write_results(tmp_path / "results.csv", epochs)
    path = plot_results(table)
    assert path == tmp_path / "results.png"
    assert decoded(path).shape == (900, 2250, 3)


@pytest.mark.parametrize(("epochs", "ticks"), [(1, {1}), (2, {1, 2}), (30, {1, 30})])
def test_results_count_epochs_from_one(tmp_path, monkeypatch, epochs, ticks):
    """As the console does; the file keeps YOLOv5's count from 0."""
    figures = []
    monkeypatch.setattr("yolo.plots.results.save_figure", lambda figure, path: figures.append(figure))
    plot_results(write_results(tmp_path / "results.csv", epochs))
    for axes in figures[0].axes:
        for line in axes.lines:
            assert line.get_xdata().tolist() == list(range(1, epochs + 1))
        low, high = axes.get_xlim()
        assert 0 <= low < 1 and epochs < high <= epochs + 2
        shown = {tick for tick in axes.get_xticks() if low <= tick <= high}
        assert all(tick == round(tick) for tick in shown) and (epochs > 2 or shown == ticks)


def test_results_with_gaps(tmp_path):
    def values(epoch, name):
        if name == "val/cls_loss":
            return "nan"
        return "" if name == "train/box_loss" and epoch % 2 else "inf" if epoch == 3 else epoch

    table = write_results(tmp_path / "results.csv", 8, values)
    columns = read_results(table)
    assert np.isnan(columns["val/cls_loss"]).all() and np.isnan(columns["train/box_loss"][1::2]).all()
    assert columns["epoch"].tolist() == list(range(8))
    decoded(plot_results(table, tmp_path / "other.png"))


def test_a_table_cut_off_in_its_last_line_is_still_read(tmp_path):
    table = write_results(tmp_path / "results.csv", 3)
    table.write_text(table.read_text()[:-30])
    assert np.isnan(read_results(table)["x/lr2"][-1])


@pytest.mark.parametrize("text", [None, "", "a,b\n1,2\n"])
def test_other_files_are_refused(tmp_path, text):
    table = tmp_path / "results.csv"
    if text is not None:
        table.write_text(text)
    with pytest.raises(DataError, match=r"results\.csv"):
        plot_results(table)


def test_smoothing_keeps_a_constant_and_fills_gaps():
    values = np.full(40, 3.0)
    values[5] = np.nan
    assert np.allclose(smoothed(values), 3)
    assert np.isnan(smoothed(np.full(4, np.nan))).all()
    peak = np.zeros(61)
    peak[30] = 1
    assert smoothed(peak).argmax() == 30 and smoothed(peak)[30] < 0.2


def test_an_earlier_plot_survives_a_failure(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("old")
    with pytest.raises(ValueError):
        plot_labels([], ["a"], path)  # no image format
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_threads_may_draw_at_once(tmp_path):
    done = []
    tables = [write_results(tmp_path / f"{i}.csv", 5) for i in range(2)]
    threads = [
        threading.Thread(target=lambda t=table: done.append(plot_results(t, t.with_suffix(".png")))) for table in tables
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, *others = [decoded(path) for path in sorted(done)]
    assert len(others) == 1 and all(np.array_equal(first, other) for other in others)
