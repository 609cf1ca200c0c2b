"""Plain lines into a file, a bar an epoch at a terminal; nothing on stdout."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from tests.loggers.samples import report, train, trainer
from yolo.loggers.console import HEADER, Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs a training of two epochs; gives what was written on stderr (a terminal, or not)."""

    def run(stream: io.StringIO, reports) -> str:
        monkeypatch.setattr(sys, "stderr", stream)
        logger, handler = logging.getLogger("yolo"), logging.StreamHandler(stream)
        monkeypatch.setattr(logger, "handlers", [handler])
        monkeypatch.setattr(logger, "propagate", False)
        monkeypatch.setattr(logger, "level", logging.INFO)
        train([Console()], trainer(), reports)
        assert capsys.readouterr().out == ""
        return stream.getvalue()

    return run


def test_a_file_gets_a_line_an_epoch(console):
    lines = console(io.StringIO(), [report(0, best=True), report(1, validation=None, seconds=0.96)]).splitlines()
    assert lines[:2] == [
        "epoch 1/3  box 0.0400  obj 0.0300  cls 0.0200  P 0.500  R 0.250  mAP50 0.750  mAP50-95 0.125  (12.3 s)  best",
        "epoch 2/3  box 0.0400  obj 0.0300  cls 0.0200  (1.0 s)",
    ]
    assert len(lines) == 3
    assert lines[2].startswith("2 epochs in ") and lines[2].endswith(" s, of which 1.8 s compiling")


def test_a_terminal_gets_a_bar_too(console):
    text = console(Terminal(), [report(0), report(1)])
    assert text.count(HEADER) == 2
    bars = [part for part in text.replace("\n", "\r").split("\r") if "%|" in part]
    assert any("0%|" in bar for bar in bars)
    finished = [bar for bar in bars if "100%|" in bar and " 2/2 " in bar]
    assert [bar.split()[:6] for bar in finished] == [
        ["1/3", "1.5", "1.5", "1.5", "4", "64:"],
        ["2/3", "1.5", "1.5", "1.5", "4", "64:"],
    ]
    plain = [line for line in text.replace("\r", "\n").splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in plain] == ["1/3", "2/3"]
