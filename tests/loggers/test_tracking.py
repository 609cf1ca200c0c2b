"""Trackers hear of a run's moments, go on with a resumed run, and never stop one."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from tests.loggers.samples import report, train, trainer, validation
from tests.loggers.test_services import info
from yolo.data.batch import Batch
from yolo.data.letterbox import Letterbox
from yolo.errors import ConfigError
from yolo.loggers.service import Service
from yolo.loggers.tracking import IDENTITIES, Tracking


class Notes(Service):
    """Writes down what it hears; raises in the method that is named."""

    def __init__(self, name: str = "notes", fails: str = "") -> None:
        super().__init__(None)
        self.name, self.fails, self.heard = name, fails, []

    def _hear(self, what: str, *rest):
        self.heard.append((what, *rest))
        print("a library's chatter")
        if what == self.fails:
            raise OSError("no network")

    def start(self, told, identity):
        self._hear("start", identity)
        return "abc"

    def numbers(self, values, epoch):
        self._hear("numbers", sorted(values), epoch)

    def images(self, files, epoch):
        self._hear("images", [file.name for file in files], epoch)

    def weights(self, file, aliases, epoch):
        self._hear("weights", file.name, aliases, epoch)

    def found(self, objects, epoch):
        self._hear("found", [(one.name, one.rows.round(1).tolist()) for one in objects], epoch)

    def finish(self, failed):
        self._hear("finish", failed)
        return "look there"


@pytest.fixture
def folder(tmp_path):
    run = tmp_path / "exp7"
    (run / "weights").mkdir(parents=True)
    for name in ("results.png", "labels.jpg", "results.csv", "weights/last.safetensors", "weights/best.safetensors"):
        (run / name).touch()
    return run


def tracking(folder, *services, **instead):
    return Tracking(services, info(folder.parent), **{"bbox_interval": 0, "save_period": -1, **instead})


def test_a_run_is_told_from_start_to_end(folder, capsys):
    notes, running = Notes(), trainer()
    hook = tracking(folder, notes, save_period=2)
    train([hook], running, [report(0, validation=None), report(1, best=True)])
    running.progress.best_epoch = 1
    hook.after_run(running, validation())
    assert [heard[0] for heard in notes.heard] == [
        *("start", "numbers", "numbers", "weights", "images", "weights", "finish")
    ]
    assert "metrics/precision" not in notes.heard[1][1] and "metrics/precision" in notes.heard[2][1]  # none is nan
    assert notes.heard[3] == ("weights", "last.safetensors", ["last", "epoch 2", "best"], 1)
    assert notes.heard[4:] == [
        ("images", ["labels.jpg", "results.png"], 1),
        ("weights", "best.safetensors", ["latest", "best"], 1),
        ("finish", False),
    ]
    hook.on_error(running, KeyboardInterrupt())  # after the end there is nobody left to tell
    assert notes.heard[-1] == ("finish", False)
    assert capsys.readouterr().out == ""


def test_a_resumed_run_is_the_same_run(folder):
    first, again, anew = Notes(), Notes(), Notes()
    tracking(folder, first).before_train(trainer())
    assert json.loads((folder / IDENTITIES).read_text()) == {"notes": "abc"}
    resumed = trainer()
    resumed.progress.step = 1  # in the middle of its first epoch
    tracking(folder, again).before_train(resumed)
    tracking(folder, anew).before_train(trainer())
    assert [notes.heard for notes in (first, again, anew)] == [[("start", None)], [("start", "abc")], [("start", None)]]


def test_a_tracker_that_does_not_start_is_refused(folder):
    with pytest.raises(ConfigError, match=r"--loggers notes: does not start \(OSError: no network\)"):
        tracking(folder, Notes(fails="start")).before_train(trainer())


@pytest.mark.parametrize("moment", ["numbers", "images", "weights", "finish"])
def test_a_tracker_that_fails_later_is_left_alone(folder, moment, caplog, monkeypatch):
    logger = logging.getLogger("yolo")
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "handlers", [])  # what earlier tests of this process have set up
    bad, good, running = Notes("bad", fails=moment), Notes("good"), trainer()
    hook = tracking(folder, bad, good)
    train([hook], running, [report(0), report(1)])
    hook.after_run(running, validation())
    assert bad.heard[-1][0] == moment and sum(heard[0] == moment for heard in bad.heard) == 1
    assert good.heard[-1] == ("finish", False)
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["bad failed (OSError: no network); the run goes on without it"]


def test_a_run_that_breaks_off_is_said_to(folder):
    notes, running = Notes(), trainer()
    hook = tracking(folder, notes)
    hook.before_train(running)
    hook.on_error(running, KeyboardInterrupt())
    assert notes.heard[-1] == ("finish", True)


def batch(names):
    """Images of 8 pixels that were 16 pixels wide and high."""
    box = Letterbox((16, 16), (0.5, 0.5), (0.0, 0.0), (8, 8))
    images = np.zeros((len(names), 3, 8, 8), np.uint8)
    return Batch(images, (), np.arange(len(names)), tuple(names), (box,) * len(names))


@pytest.mark.parametrize(
    ("interval", "epochs", "shown"),
    [(0, 4, []), (2, 4, [1, 3]), (3, 4, [2]), (-1, 4, [0, 1, 2, 3]), (-1, 20, [1, 3])],
)
def test_images_with_boxes_come_at_intervals(folder, interval, epochs, shown):
    hook, running = tracking(folder, Notes(), bbox_interval=interval), trainer(epochs=epochs)
    assert [epoch for epoch in range(4) if hook.watch_validation(running, epoch)] == shown


def test_sixteen_images_with_what_is_sure(folder):
    notes, running = Notes(), trainer()
    hook = tracking(folder, notes, bbox_interval=1)
    watcher = hook.watch_validation(running, 0)
    rows = np.array([[2, 4, 6, 8, 0.9, 1], [0, 0, 9, 9, 0.2, 0]], np.float32)
    for start in (0, 10, 20):
        watcher(batch([f"{number}.png" for number in range(start, start + 10)]), [rows] * 10)
    hook.after_epoch(running, report(0))
    _, objects, epoch = notes.heard[0]
    assert epoch == 0 and [name for name, _ in objects] == [f"{number}.png" for number in range(16)]
    assert np.allclose(objects[0][1], [[1, 2, 3, 4, 0.9, 1]], atol=0.01)


def test_few_images_are_shown_too(folder):
    notes, running = Notes(), trainer()
    hook = tracking(folder, notes, bbox_interval=1)
    hook.watch_validation(running, 0)(batch(["a.png", "b.png"]), [np.zeros((0, 6), np.float32)] * 2)
    hook.after_epoch(running, report(0))
    assert notes.heard[0] == ("found", [("a.png", []), ("b.png", [])], 0)
    hook.after_epoch(running, report(1))
    assert [heard[0] for heard in notes.heard] == ["found", "numbers", "numbers"]
