"""What the commands say of options that a machine bounds."""

from __future__ import annotations

import logging

import pytest

from yolo.config.commands import TrainConfig, ValConfig
from yolo.engine.setup import say_workers


@pytest.mark.parametrize("config", [TrainConfig, ValConfig])
@pytest.mark.parametrize(("asked", "said"), [(1, False), (2, False), (8, False), (64, True), (3, True)])
def test_fewer_threads_than_asked_for_are_said(
    config: type, asked: int, said: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 is what nobody asked for."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    with caplog.at_level(logging.WARNING, "yolo"):
        say_workers(config(workers=asked), None)
    assert caplog.messages == ([f"--workers {asked}: using 2, one for each core"] if said else [])
