"""The event file can be read, and holds what results.csv holds."""

from __future__ import annotations

import math
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
    for name in epoch_values(reports[0]):
        expected = [(one.epoch, epoch_values(one)[name]) for one in reports]
        expected = [(epoch, value) for epoch, value in expected if math.isfinite(value)]  # what was measured
        assert [step for step, _ in found[tag(name)]] == [epoch for epoch, _ in expected], name
        values = [value for _, value in found[tag(name)]]
        assert values == pytest.approx([value for _, value in expected], rel=1e-6), name
    assert len(found[tag("metrics/mAP_0.5")]) == 2 < len(found[tag("train/box_loss")]) == 3


def test_an_epoch_is_on_disk_when_it_is_done(tmp_path: Path):
    """The checkpoint that comes next says so: a run that is killed then does not make the epoch again."""
    hook, run = TensorBoard(tmp_path), trainer()
    hook.before_train(run)
    for epoch in range(20):
        hook.after_epoch(run, report(epoch))
        found = read_scalars(tmp_path)
        assert {step for pairs in found.values() for step, _ in pairs[-1:]} == {epoch}
        assert len(found) == len(epoch_values(report(epoch)))
    hook.after_train(run)
    hook.on_error(run, OSError("in another hook"))


def test_nothing_is_written_before_training(tmp_path: Path):
    TensorBoard(tmp_path)
    assert list(tmp_path.iterdir()) == []
