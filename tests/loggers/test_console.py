"""Plain lines into a file, a bar an epoch at a terminal; nothing on stdout."""

from __future__ import annotations

import io
import logging
import re
import sys

import numpy as np
import pytest

from tests.loggers.samples import batch, report, train, trainer
from yolo.data.stages import PipelineReport
from yolo.loggers.console import Console, duration, header


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture):
    """Runs a training of two epochs; gives what was written on stderr (a terminal, or not)."""

    def run(stream: io.StringIO, reports) -> str:
        monkeypatch.setattr(sys, "stderr", stream)
        logger, handler = logging.getLogger("yolo"), logging.StreamHandler(stream)
        monkeypatch.setattr(logger, "handlers", [handler])
        monkeypatch.setattr(logger, "propagate", False)
        caplog.set_level(logging.INFO, "yolo")
        train([Console()], trainer(), reports)
        assert capsys.readouterr().out == ""
        return stream.getvalue()

    return run


def test_a_file_gets_a_line_an_epoch(console):
    lines = console(io.StringIO(), [report(0, best=True), report(2, validation=None, seconds=0.96)]).splitlines()
    assert lines[:2] == [
        "epoch 1/3  box 0.0400  obj 0.0300  cls 0.0200  P 0.500  R 0.250  mAP50 0.750  mAP50-95 0.125"
        "  (12.3 s, 5.0 img/s, data 25% (render), 21 s left)  best",
        "epoch 3/3  box 0.0400  obj 0.0300  cls 0.0200  (1.0 s, 5.0 img/s, data 25% (render))",
    ]
    assert len(lines) == 3
    assert lines[2].startswith("3 epochs in ") and lines[2].endswith(" s, of which 1.8 s compiling")


@pytest.mark.parametrize(("stale", "epochs"), [(True, 9), (True, 3), (False, 3)])
def test_what_ended_a_run_early_is_said(caplog, monkeypatch, stale, epochs):
    monkeypatch.setattr(logging.getLogger("yolo"), "propagate", True)
    running = trainer(epochs=epochs)
    running.stale, running.patience, running.progress.epoch, running.progress.best_epoch = stale, 2, 3, 0
    caplog.set_level(logging.INFO, "yolo")
    Console().after_train(running)
    line = "stopped early: no improvement in the last 2 epochs (--patience); the best was epoch 1"
    assert (line in caplog.messages) == (stale and epochs > 3) and len(caplog.messages) <= 2
    running.stale, running.hours = False, 0.5
    Console().after_train(running)
    assert caplog.messages[-2] == "no more epochs: another would not fit into the 0.5 hours of --time"


def test_a_loader_that_holds_training_up_is_named(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("yolo"), "propagate", True)
    running, reported = trainer(), PipelineReport(10.0, 2.5, {"plan": 0.5, "render": 9.9}, 0.25, 2)
    caplog.set_level(logging.INFO, "yolo")
    line = "the loader was the bottleneck: the last epoch waited 25% of the time for data; busy: plan 5%, render 99%; "
    line += "batches ready when one was asked for: 0.2 of 2"
    others = PipelineReport(10.0, 2.5, {"plan": 0.5, "render": 7.4}), PipelineReport(10.0, 0.9, {"render": 9.9})
    for found in (reported, None, *others):
        running.parts.loader.report = lambda found=found: found
        caplog.clear()
        Console().after_train(running)
        assert (line in caplog.messages) == (found is reported) and len(caplog.messages) == 1 + (found is reported)


def test_samples_that_another_renderer_made_are_told_once(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("yolo"), "propagate", True)
    running, hook = trainer(), Console()
    caplog.set_level(logging.INFO, "yolo")
    hook.before_epoch(running, 0)
    for counts, told in (({"A": 8}, []), ({"A": 5, "B": 3}, ["samples rendered: 13 by A, 3 by B"]), ({"B": 8}, [])):
        running.parts.loader.rendered = lambda counts=counts: counts
        caplog.clear()
        hook.after_epoch(running, report(0))
        assert caplog.messages[1:] == told


@pytest.mark.parametrize(("waited", "words"), [(0.0, "data 0%"), (0.09, "data 9%"), (0.12, "data 12% (render)")])
def test_the_bar_names_the_stage_that_holds_the_step_back(monkeypatch, waited, words):
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    monkeypatch.setenv("COLUMNS", "130")
    hook, running = Console(), trainer()
    hook.before_epoch(running, 0)
    running.clock.waiting_share = lambda: waited
    hook.after_step(running, 0, batch(), np.zeros(3, np.float32))
    hook.on_error(running, KeyboardInterrupt())
    assert f" img/s, {words}]" in stream.getvalue()


def drawn(text: str) -> list[str]:
    """Every state of every bar."""
    return [part for part in text.replace("\n", "\r").split("\r") if "img/s" in part and not part.startswith("epoch")]


def test_a_terminal_gets_a_bar_too(console, monkeypatch):
    monkeypatch.setenv("COLUMNS", "130")
    text = console(Terminal(), [report(0), report(1)])
    assert text.count(header(wide=True)) == 2
    finished = [bar for bar in drawn(text) if "100%|" in bar and " 2/2 " in bar]
    for epoch in ("1/3", "2/3"):
        (bar, *_) = [bar for bar in finished if bar.split()[0] == epoch]
        assert bar.split()[:6] == [epoch, "1.5", "1.5", "1.5", "4", "64"]
        assert re.search(r"\[\d\d:\d\d<\d\d:\d\d, [\d.]+ img/s, data \d+%", bar), bar
    assert any(bar.endswith(", val 2/3]") for bar in finished) and not finished[-1].rstrip().endswith("val 3/3]")
    plain = [line for line in text.replace("\r", "\n").splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in plain] == ["1/3", "2/3"]


@pytest.mark.parametrize("columns", [80, 132])
def test_nothing_is_wider_than_the_terminal(console, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = console(Terminal(), [report(0)])
    assert header(columns > 100) in text
    bars = drawn(text)
    assert max(len(bar.rstrip()) for bar in bars) <= columns
    assert all(bar.rstrip().endswith("]") for bar in bars)  # not cut off


def test_an_epoch_that_goes_on_in_its_middle(monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    running = trainer(batches=10)
    running.progress.batch = 4
    hook = Console()
    hook.before_epoch(running, 0)
    hook.on_error(running, KeyboardInterrupt())
    assert " 40%" in stream.getvalue() and " 4/10 [" in stream.getvalue()


def test_messages_do_not_break_the_bar(console, monkeypatch):
    monkeypatch.setenv("COLUMNS", "130")
    monkeypatch.setattr(Console, "watch_validation", lambda *_: logging.getLogger("yolo").info("compiled it"))
    text = console(Terminal(), [report(0)])
    line = next(part for part in re.split(r"[\r\n]", text) if "compiled it" in part)
    assert line == "compiled it"


def test_a_run_that_breaks_off_ends_its_bar(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    hook, running = Console(), trainer()
    hook.before_epoch(running, 0)
    hook.on_error(running, KeyboardInterrupt())
    assert stream.getvalue().endswith("\n")
    hook.on_error(running, KeyboardInterrupt())  # once is enough


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (119, "2 min"), (5940, "99 min"), (11100, "3 h 05 min")]
)
def test_durations_are_as_exact_as_forecasts(seconds, text):
    assert duration(seconds) == text
