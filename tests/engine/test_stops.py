"""Training that stops on request goes on as if it had not; training that has so many hours ends with them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from tests.engine.noted import Notes, Step, make
from yolo.config.hyp import Hyperparameters
from yolo.distributed.agreement import Agreement
from yolo.distributed.ranks import Ranks
from yolo.engine.hooks.base import Hook
from yolo.engine.interrupt import StopRequest
from yolo.engine.progress import Progress
from yolo.engine.time_limit import TimeLimit
from yolo.errors import Interrupted


@pytest.mark.parametrize("batch_size", [4, 64])
@pytest.mark.parametrize("moment", ["after_step", "after_epoch", "validation"])
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(moment, batch_size):
    """Stopped after every single step, epoch or validation."""
    whole, parts = Notes(), Notes()
    fitness = [0.3, 0.5, 0.4]
    straight, usual = make(3, 5, hooks=[whole], fitness=fitness, batch_size=batch_size), Step()
    straight[0].parts.step = usual
    straight[0].train()
    progress, step, stops = Progress(), Step(), 0
    while True:
        stop = StopRequest()
        trainer, _ = make(
            *(3, 5), hooks=[parts], fitness=fitness[progress.epoch :], batch_size=batch_size, step=step, stop=stop,
            progress=Progress.from_json(json.loads(json.dumps(dataclasses.asdict(progress)))),
        )  # fmt: skip
        ask(stop, trainer, moment, but=progress)
        try:
            trainer.train()
        except Interrupted as error:
            progress, stops = trainer.progress, stops + 1
            assert "go on with: python -m yolo.train --resume run" in str(error) and error.code == 143
            assert parts.calls[-1] == ("a", "on_error", error)
        else:
            break
    assert stops == (15 if moment == "after_step" else 3)
    assert step.updates == usual.updates
    assert (expected := dataclasses.asdict(straight[0].progress)).keys() == dataclasses.asdict(trainer.progress).keys()
    assert dataclasses.asdict(trainer.progress) == {**expected, "seconds": trainer.progress.seconds}
    for ours, theirs in zip(parts.reports(), whole.reports()):
        assert (ours.epoch, ours.losses, ours.rates, ours.best) == (
            *(theirs.epoch, theirs.losses, theirs.rates, theirs.best),
        )
    assert len(parts.reports()) == 3


def ask(stop, trainer, moment, *, but):
    """Ask for a stop at the next such moment, except in a validation that was already stopped."""
    if moment == "validation":
        validate = trainer.parts.validate_ema

        def validation(listeners):
            if but.batch == 0 or trainer.progress.epoch != but.epoch:
                stop.signal = 15
            return validate(listeners)

        trainer.parts.validate_ema = validation
    else:
        hook = Hook()
        setattr(hook, moment, lambda *_: setattr(stop, "signal", 15))
        trainer.hooks.append(hook)


@pytest.mark.parametrize("validate", [True, False])
def test_a_time_limit_decides_how_many_epochs_there_are(validate, monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr("yolo.engine.trainer.time.perf_counter", lambda: float(next(clock)))
    notes = Notes()
    trainer, validated = make(100, 3, hooks=[notes], validate=validate, limit=TimeLimit(60 / 3600))
    trainer.train()
    done = len(notes.reports())
    assert 2 < done < 20 and trainer.schedule.epochs == trainer.progress.epoch == trainer.progress.epochs == done
    assert trainer.progress.seconds < 60 <= trainer.progress.seconds * (done + 1) / done
    assert validated == (list(range(done)) if validate else [done - 1])
    assert trainer.schedule.factor(trainer.progress.epoch) == pytest.approx(Hyperparameters().lrf)


@pytest.mark.parametrize("limited", [True, False])
def test_ranks_ask_for_the_time_only_where_it_is_limited(limited, monkeypatch):
    class Asked(Agreement):
        times = 0

        def first(self, value):
            self.times += 1
            return value

    clock = iter(range(10**6))
    monkeypatch.setattr("yolo.engine.trainer.time.perf_counter", lambda: float(next(clock)))
    asked = Asked()
    trainer, _ = make(2, 3, limit=TimeLimit(60 / 3600 if limited else None), agreement=asked)
    trainer.train()
    assert asked.times >= trainer.progress.step > 0 if limited else (asked.times, trainer.progress.step) == (0, 6)


def test_an_epoch_that_takes_too_long_is_cut_short(monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr("yolo.engine.trainer.time.perf_counter", lambda: float(next(clock)))
    notes = Notes()
    trainer, validated = make(100, 1000, hooks=[notes], limit=TimeLimit(60 / 3600))
    trainer.train()
    assert 0 < trainer.progress.step < 61 and trainer.progress.seconds >= 60 and validated == [0]
    assert len(notes.reports()) == 1 and notes.calls[-1][1] == "after_train"


@pytest.mark.parametrize(
    "values",
    [
        {"epoch": "1"}, {"epoch": None}, {"losses": [1.0, 2.0]}, {"losses": 1.0}, {"losses": ["a", "b", "c"]},
        {"pending": True}, {"more": 1}, {"best_fitness": float("nan"), "epoch": []},
    ],
)  # fmt: skip
def test_a_progress_that_is_none(values):
    with pytest.raises((TypeError, ValueError)):
        Progress.from_json(values)


@pytest.fixture
def handlers() -> Iterator[tuple]:
    """Those of SIGINT and SIGTERM, put back behind the test."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    yield before
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


def test_a_launched_process_takes_sigterm_for_a_request_however_often_it_comes(handlers):
    """Ctrl-C at a launcher: SIGINT from the terminal, SIGTERM from the launcher and from the kernel at its end."""
    with StopRequest(launched=True) as stop:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert stop.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == handlers[0]
    os.kill(os.getpid(), signal.SIGTERM)  # the launcher's may come late: this process lives


def test_a_launched_process_that_stops_because_of_another_survives_its_own_signal(handlers):
    with pytest.raises(Interrupted), StopRequest(launched=True):
        raise Interrupted("as the ranks have agreed")
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("launched", [False, True])
def test_a_process_that_was_not_stopped_has_its_handlers_back(handlers, launched):
    with contextlib.suppress(ZeroDivisionError), StopRequest(launched=launched):
        raise ZeroDivisionError
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    with StopRequest(launched=launched):
        pass
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


@pytest.mark.parametrize("value", [3, 2.5])
def test_the_first_rank_tells_whole_numbers_too(value):
    def all_reduce(array):
        assert array.dtype == np.float64  # no other is taken
        return array

    group = SimpleNamespace(ranks=Ranks(0, 2), all_reduce=all_reduce)
    assert Agreement(group).first(value) == value
