"""report.html is written while a run goes on, when it ends, and however it ends."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tests.loggers.samples import report, train, trainer
from tests.plots.test_figures import measured
from yolo.config.commands import TrainConfig
from yolo.config.hyp import Hyperparameters
from yolo.errors import Interrupted
from yolo.loggers import report as module
from yolo.loggers.report import Report, command_of
from yolo.loggers.results_csv import ResultsCsv
from yolo.report.page import read_epochs


@pytest.fixture(autouse=True)
def without_a_network(monkeypatch):
    monkeypatch.setattr("yolo.models.summary.describe", lambda network, imgsz: "a summary")


@pytest.fixture
def running():
    one = trainer()
    one.parts.network = SimpleNamespace(spec=SimpleNamespace(layers=()), model=())
    one.parts.imgsz, one.parts.hyp = 64, Hyperparameters(lr0=0.02)
    return one


@pytest.fixture
def outcome():
    metrics, confusion = measured(2)
    return SimpleNamespace(metrics=metrics, confusion=confusion, losses=(0.1, 0.2, 0.3), speed_ms={"nms": 0.5})


def text(folder) -> str:
    return (folder / "report.html").read_text()


def test_from_the_first_epoch_to_the_end(tmp_path, running, outcome, monkeypatch):
    hook = Report(tmp_path, TrainConfig(epochs=3), "cpu")
    reports = [report(number, best=number == 1, validation=outcome) for number in range(3)]
    now = [100.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    hook.before_train(running)
    shown = []
    for one in reports:
        running.progress.epoch = one.epoch + 1
        hook.after_epoch(running, one)
        shown.append(len(read_epochs(hook.file)))
        now[0] += 0.6 * module.PAUSE
    assert shown == [1, 1, 3]  # not more often than the pause allows
    assert 'data-s="training"' in text(tmp_path) and "Epoch 3 of 3 is done" in text(tmp_path)
    running.progress.best_epoch = 1
    hook.after_run(running, outcome)
    assert 'data-s="finished"' in text(tmp_path) and "3 epochs." in text(tmp_path) and "2 of 3" in text(tmp_path)
    assert (
        "a summary" in text(tmp_path)
        and "<span>--epochs</span> <span>3</span>" in text(tmp_path)
        and "Confusion matrix" in text(tmp_path)
    )


@pytest.mark.parametrize(
    ("error", "state", "note"),
    [
        (Interrupted("stopped at epoch 2; go on with: --resume"), "stopped", "Stopped at epoch 2; go on with"),
        (ValueError("the loss is nan"), "broke off", "after epoch 1 (ValueError: the loss is nan)"),
        (KeyboardInterrupt(), "broke off", "after epoch 1 (KeyboardInterrupt)"),
    ],
)
def test_a_run_that_ends_early(tmp_path, running, outcome, error, state, note):
    hook = Report(tmp_path, TrainConfig(), "cpu")
    hook.before_train(running)
    hook.on_error(running, error)
    assert not hook.file.exists()  # nothing to show yet
    running.progress.epoch = 1
    hook.after_epoch(running, report(0, validation=outcome))
    hook.on_error(running, error)
    assert f'data-s="{state}"' in text(tmp_path) and note in text(tmp_path)


def test_a_resumed_run_shows_all_its_epochs(tmp_path, running, outcome):
    def go(begin, reports):
        """Train these epochs with a line in results.csv and a report for each."""
        one = trainer()
        one.parts = running.parts
        for hook in (ResultsCsv(tmp_path), last := Report(tmp_path, TrainConfig(), "cpu")):
            one.progress.epoch = begin
            train([hook], one, reports)
        return one, last

    done, hook = go(0, [report(number, validation=outcome) for number in range(3)])
    hook.on_error(done, KeyboardInterrupt())
    again, hook = go(2, [report(2, losses=(9, 9, 9))])  # the third was not in a checkpoint
    hook.after_run(again, outcome)
    rows = read_epochs(hook.file)
    assert [row.epoch for row in rows] == [0, 1, 2]
    assert [row.values["train/box_loss"] for row in rows] == [0.04, 0.04, 9]
    assert [row.times["pictures"] for row in rows] == [40, 40, 40]
    hook.file.unlink()  # without the earlier report its times are not known, its values are
    lost = Report(tmp_path, TrainConfig(), "cpu")
    lost.before_train(again)
    lost.after_run(again, outcome)
    assert [row.times for row in read_epochs(lost.file)] == [{}] * 3
    assert np.allclose([row.values["x/lr0"] for row in read_epochs(lost.file)], 0.1)


def test_the_command_is_the_shortest_that_does_it():
    assert command_of(TrainConfig()) == "python -m yolo.train"
    config = TrainConfig(data="my data.yaml", rect=True, batch_size=4, loggers=("wandb", "mlflow"))
    expected = "python -m yolo.train --data 'my data.yaml' --batch-size 4 --rect --loggers wandb mlflow"
    assert set(command_of(config).split()) == set(expected.split())
