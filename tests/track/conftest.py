"""The command with weights that find coloured rectangles, in a folder of its own."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def weights(learnt) -> Path:
    return learnt.folder / "weights" / "best.safetensors"


@pytest.fixture
def run(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Runs the command in an empty folder; gives exit code, stdout and stderr."""
    from yolo import track

    monkeypatch.chdir(tmp_path)
    # The command's handler keeps the stderr it was made with; each test has its own.
    logger = logging.getLogger("yolo")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    base = ["--weights", str(weights), "--imgsz", "96", "--device", "cpu"]

    def call(*argv: str) -> tuple[int, str, str]:
        code = track.main([*base, *argv])
        return code, *capfd.readouterr()

    return call
