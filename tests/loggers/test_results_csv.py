"""results.csv: YOLOv5's columns, a line as soon as its epoch ends."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from tests.loggers.samples import report, train, trainer
from yolo.engine.run_files import COLUMNS
from yolo.loggers.results_csv import ResultsCsv, epoch_values
from yolo.plots.results import read_results

VALUES = (0.04, 0.03, 0.02, 0.5, 0.25, 0.75, 0.125, 0.1, 0.2, 0.3, 0.1, 0.01, 0.01)


def test_the_values_of_an_epoch():
    assert tuple(epoch_values(report(0)).items()) == tuple(zip(COLUMNS[1:], VALUES))


def test_columns_stand_under_each_other_and_read_back(tmp_path: Path):
    train([ResultsCsv(tmp_path)], trainer(), [report(0), report(1, losses=(1 / 3, 1e-7, 12345.678))])
    text = (tmp_path / "results.csv").read_text()
    assert text.endswith("\n") and len({len(line) for line in text.splitlines()}) == 1
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines())]
    assert rows[0] == list(COLUMNS) and rows[1] == ["0", *(f"{value:g}" for value in VALUES)]
    assert rows[2][:4] == ["1", "0.33333", "1e-07", "12346"]


def test_what_was_not_measured_is_nan(tmp_path: Path):
    train([ResultsCsv(tmp_path)], trainer(), [report(0, validation=None), report(1)])
    table = read_results(tmp_path / "results.csv")
    for name in COLUMNS[4:11]:
        assert np.isnan(table[name]).tolist() == [True, False], name
    assert np.isfinite(table["x/lr2"]).all() and np.isfinite(table["train/cls_loss"]).all()


def test_a_line_is_there_before_the_next_epoch(tmp_path: Path):
    hook, running = ResultsCsv(tmp_path), trainer()
    hook.before_train(running)
    for epoch in range(3):
        assert len(hook.path.read_text().splitlines()) == 1 + epoch
        hook.after_epoch(running, report(epoch))
    assert read_results(hook.path)["epoch"].tolist() == [0, 1, 2]


def test_a_run_from_its_start_begins_anew_and_a_resumed_one_goes_on(tmp_path: Path):
    train([ResultsCsv(tmp_path)], trainer(), [report(0), report(1)])
    resumed = trainer()
    resumed.progress.epoch = 2
    train([ResultsCsv(tmp_path)], resumed, [report(2)])
    assert read_results(tmp_path / "results.csv")["epoch"].tolist() == [0, 1, 2]
    train([ResultsCsv(tmp_path)], trainer(), [report(0)])
    assert read_results(tmp_path / "results.csv")["epoch"].tolist() == [0]
