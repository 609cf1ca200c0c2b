"""The training loop with parts that only take notes."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import yolo
from tests.engine.noted import Notes, Step, make
from tests.train.samples import Workshop
from yolo.engine.diverged import check_tensors
from yolo.engine.hooks.base import Hook
from yolo.engine.interrupt import StopRequest
from yolo.errors import DivergedError, Interrupted


def test_hooks_are_called_in_order():
    shared: list = []
    trainer, _ = make(2, 2, hooks=[Notes("a", shared), Notes("b", shared)])
    trainer.train()
    moments = [
        "before_train",
        *(["before_epoch", "after_step", "after_step", "watch_validation", "after_epoch"] * 2),
        "after_train",
    ]
    assert [call[:2] for call in shared] == [(name, moment) for moment in moments for name in "ab"]
    assert [call[2] for call in shared if call[1] == "before_epoch"] == [0, 0, 1, 1]
    assert [call[2] for call in shared if call[:2] == ("a", "after_step")] == [0, 1, 2, 3]


def test_losses_are_means_of_the_epoch():
    notes = Notes()
    make(2, 3, hooks=[notes])[0].train()
    means = [2.0, 5.0]  # of 1, 2, 3 and of 4, 5, 6
    for mean, report in zip(means, notes.reports()):
        assert report.losses == pytest.approx((mean, 2 * mean, 3 * mean))
        assert report.seconds >= 0
    assert [report.epoch for report in notes.reports()] == [0, 1]


@pytest.mark.parametrize("batch_size", [4, 16, 64, 128])
def test_updates_and_rates_follow_the_schedule(batch_size):
    notes, step = Notes(), Step()
    trainer, _ = make(3, 50, hooks=[notes], batch_size=batch_size, step=step)
    trainer.train()
    expected, pending = [], 0
    for number in range(150):
        pending += 1
        if pending >= trainer.schedule.accumulate(number):
            pending = 0
            expected.append((number + 1, trainer.schedule.rates(number, len(expected) + 1)))
    assert step.updates == expected
    assert (trainer.progress.step, trainer.progress.updates, trainer.progress.pending) == (150, len(expected), pending)
    if batch_size == 4:
        assert len(expected) < 50  # gradients of many batches add up
    for report, end in zip(notes.reports(), (50, 100, 150)):
        rates = [rates for at, rates in expected if at <= end][-1]
        assert report.rates == (rates.bias, rates.weight, rates.norm)


def published_updates(schedule, epochs, batches):
    """The batches whose gradients make each update in YOLOv5's loop, by number over all epochs."""
    number, newest, found = 0, -1, []
    for _ in range(epochs):
        added_up = []
        for _ in range(batches):
            added_up.append(number)
            if number - newest >= schedule.accumulate(number):
                found.append(added_up)
                added_up, newest = [], number
            number += 1
    return found


@pytest.mark.parametrize("batches", [1, 3, 6, 8])
def test_gradients_that_wait_at_an_epochs_end_are_dropped(batches, caplog):
    step, epochs = Step(), 300 // batches
    trainer, _ = make(epochs, batches, batch_size=16, step=step)
    with caplog.at_level(logging.INFO, "yolo"):
        trainer.train()
    expected = published_updates(trainer.schedule, epochs, batches)
    assert step.applied == expected and trainer.progress.updates == len(expected)
    assert sum(map(len, expected)) < epochs * batches
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and said[0].startswith("the gradient of 1 batch that made no update by the end of epoch ")
    assert said[0].endswith(" is dropped, there and in later epochs; --nbs 16 would make an update of each batch")


@pytest.mark.parametrize("stopped", range(1, 12))
def test_a_stop_anywhere_drops_what_is_dropped_without_it(stopped):
    """Here after every batch; ``held`` is what a checkpoint keeps of the gradient."""
    whole, first, second = Step(), Step(), Step()
    make(4, 3, nominal=800, step=whole)[0].train()

    def stop(trainer, step, *_):
        if step + 1 == stopped:
            request.signal = 2

    request, notes = StopRequest(), Notes()
    notes.after_step = stop
    one, _ = make(4, 3, nominal=800, step=first, hooks=[notes], stop=request)
    with pytest.raises(Interrupted):
        one.train()
    second.seen, second.held = first.seen, first.held
    make(4, 3, nominal=800, step=second, progress=one.progress)[0].train()
    assert first.applied + second.applied == whole.applied == [[0], [1], [3], [6, 7]] and second.held == whole.held


def test_the_best_epoch():
    notes = Notes()
    trainer, validated = make(6, 1, fitness=[0.1, 0.4, 0.3, 0.4, 0.2, 0.39], hooks=[notes])
    trainer.train()
    assert [report.best for report in notes.reports()] == [True, True, False, True, False, False]
    assert (trainer.progress.best_epoch, trainer.progress.best_fitness) == (3, 0.4)
    assert trainer.progress.epoch == 6 and validated == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("patience", "fitness", "epochs"),
    [
        (2, [0.5, 0.4, 0.4, 0.9], 3),
        (2, [0.5, 0.4, 0.5, 0.4, 0.4, 0.9], 5),
        (1, [0.1, 0.2, 0.3, 0.2, 0.9], 4),
        (0, [0.5] + [0.1] * 7, 8),
        (9, [0.5] + [0.1] * 7, 8),
    ],
)
def test_patience(patience, fitness, epochs):
    notes = Notes()
    trainer, _ = make(8, 1, fitness=fitness + [0.0] * 8, hooks=[notes], patience=patience)
    trainer.train()
    assert trainer.progress.epoch == len(notes.reports()) == epochs
    assert notes.calls[-1][1] == "after_train"


def test_without_validation_only_the_last_epoch_is_measured():
    notes = Notes()
    trainer, validated = make(4, 1, hooks=[notes], validate=False, patience=1)
    trainer.train()
    assert validated == [3]
    assert [report.validation is None for report in notes.reports()] == [True, True, True, False]
    assert [report.best for report in notes.reports()] == [False, False, False, True]


def test_it_goes_on_where_its_progress_stands():
    notes = Notes()
    trainer, _ = make(5, 2, hooks=[notes])
    trainer.progress.epoch, trainer.progress.step = 3, 6
    trainer.train()
    assert [report.epoch for report in notes.reports()] == [3, 4]
    assert [call[2] for call in notes.calls if call[1] == "after_step"] == [6, 7, 8, 9]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number_ends_training_and_names_images(value):
    notes, step = Notes(), Step([1.0, 1.0, 1.0, value])
    trainer, _ = make(2, 2, hooks=[notes], step=step)
    trainer.saved = Path("run/weights/last.safetensors")
    with pytest.raises(DivergedError) as caught:
        trainer.train()
    assert str(caught.value) == (
        f"the loss is {value} at epoch 2, batch 2 of 2 (images in .: 0.png, 1.png, 2.png, 3.png, 4.png, 5.png); the "
        "last good checkpoint is run/weights/last.safetensors; lower lr0 in the hyperparameters, or look at these "
        "images' labels"
    )
    assert len(step.updates) == 3 and len(notes.reports()) == 1
    assert notes.calls[-1] == ("a", "on_error", caught.value)


@pytest.mark.parametrize("value", [float("nan"), -float("inf")])
def test_tensors_that_are_not_finite_are_not_saved(value):
    trainer, _ = make(2, 2)
    trainer.progress.epoch, trainer.saved = 2, Path("run/weights/last.safetensors")
    tensors = {f"{number}.weight": np.ones(3, np.float32) for number in range(9)} | {"count": np.array([3])}
    check_tensors(tensors, trainer)
    for number in range(2, 8):
        tensors[f"{number}.weight"] = np.array([0, value, 1], np.float32)
    with pytest.raises(DivergedError) as caught:
        check_tensors(tensors, trainer)
    assert str(caught.value) == (
        "6 of 10 tensors are not finite after epoch 2 (2.weight, 3.weight, 4.weight, 5.weight, …): nothing is saved; "
        "the last good checkpoint is run/weights/last.safetensors; lower lr0 in the hyperparameters"
    )
    assert caught.value.code == 3


def test_all_hooks_hear_of_an_end_even_when_one_fails_on_it():
    class Failing(Hook):
        def on_error(self, trainer, error):
            raise DivergedError("cannot save")

    notes = Notes()
    with pytest.raises(DivergedError, match="cannot save"):
        make(1, 1, hooks=[Failing(), notes], step=Step(norm=float("nan")))[0].train()
    assert notes.calls[-1][1] == "on_error"


def test_waiting_for_data_is_measured_around_the_loader(monkeypatch):
    """Time passes only where this test lets it: 2 s for a batch, 3 s for a step."""
    now = [0.0]
    monkeypatch.setattr("yolo.engine.clock.time.perf_counter", lambda: now[0])
    notes, step = Notes(), Step()
    trainer, _ = make(2, 4, hooks=[notes], step=step)
    source, backward = trainer.parts.loader.batches, step.backward

    def batches(epoch, start):
        for batch in source(epoch, start):
            now[0] += 2
            yield batch

    def timed_backward(batch):
        now[0] += 3
        step.compile_seconds += 1.0 if step.seen < 2 else 0.0
        return backward(batch)

    trainer.parts.loader.batches, step.backward = batches, timed_backward
    trainer.train()
    first, second = (report.times for report in notes.reports())
    assert (first.waiting, first.compiling, first.training, first.validating, first.pictures) == (8, 2, 10, 0, 4)
    assert (second.waiting, second.compiling, second.training, second.pictures) == (8, 0, 12, 4)
    assert [report.seconds for report in notes.reports()] == [20, 20]
    assert trainer.clock.waiting_share() == pytest.approx(0.4)


def test_hooks_may_watch_the_validation():
    """Beside the trainer's own listener, which stops on request."""

    class Watch(Hook):
        def watch_validation(self, trainer, epoch):
            return (lambda batch, detections: None) if epoch else None

    trainer, _ = make(2, 1, hooks=[Watch(), Hook()])
    given = []
    outcome = SimpleNamespace(metrics=SimpleNamespace(fitness=0.5))
    trainer.parts.validate_ema = lambda listeners: given.append(len(listeners)) or outcome
    trainer.train()
    assert given == [1, 2]


def test_a_gradient_that_is_no_number_ends_training():
    notes = Notes()
    with pytest.raises(DivergedError, match=r"norm is nan at epoch 1, batch 1 of 2 .*; no checkpoint was saved yet; "):
        make(2, 2, hooks=[notes], step=Step(norm=float("nan")))[0].train()
    assert not notes.reports()


MEASURE = """
import json, sys
from pathlib import Path
from yolo import runtime
runtime.start()
from yolo.config.commands import TrainConfig
from yolo.engine.hooks.base import Hook
from yolo.engine.interrupt import StopRequest
from yolo.errors import Interrupted
from yolo.engine.build import build_parts
from yolo.engine.trainer import Trainer

class Memory(Hook):
    pages = []
    def after_step(self, trainer, step, batch, losses):
        self.pages.append(int(Path("/proc/self/statm").read_text().split()[1]))

options = json.loads(sys.argv[1])
parts, schedule = build_parts(TrainConfig(**options))
parts.validate_ema = lambda listeners: None
Trainer(parts, schedule, Path("run"), [Memory()], validate=False, patience=0).train()
print(json.dumps(Memory.pages))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system does not tell a process its memory")
def test_memory_stays_as_it_is(tmp_path):
    """300 steps with the loader: what is held after step 50 is what is held at the end, within 2 %."""
    shop = Workshop.make(tmp_path, train=40)
    names = {"weights": "", "cfg": str(shop.model), "data": str(shop.data), "hyp": str(shop.hyp), "device": "cpu"}
    numbers = {"imgsz": 64, "batch_size": 4, "epochs": 30, "workers": 2, "nbs": 8}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps({**names, **numbers})],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(yolo.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    pages = np.array(json.loads(done.stdout.splitlines()[-1]))
    assert len(pages) == 300
    assert pages[50:].max() < 1.02 * np.median(pages[40:60]), pages[::25]
