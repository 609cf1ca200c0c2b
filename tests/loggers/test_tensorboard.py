"""The event file can be read, and holds what results.csv holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loggers.events import read_scalars, tag
from tests.loggers.samples import report, train, trainer
from yolo.loggers.results_csv import epoch_values
from yolo.loggers.tensorboard import TensorBoard


def test_scalars(tmp_path: Path):
    reports = [report(0, validation=None), report(1), report(2, losses=(1.0, 2.0, 3.0))]
    train([TensorBoard(tmp_path)], trainer(), reports)
    found = read_scalars(tmp_path)
    assert found.keys() == {tag(name) for name in epoch_values(reports[0])}
    for one in reports:
        for name, value in epoch_values(one).items():
            step, given = found[tag(name)][one.epoch]
            assert step == one.epoch
            assert given == pytest.approx(value, rel=1e-6, nan_ok=True), name


def test_nothing_is_written_before_training(tmp_path: Path):
    TensorBoard(tmp_path)
    assert list(tmp_path.iterdir()) == []
