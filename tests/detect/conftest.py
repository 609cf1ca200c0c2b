"""The command with small weights, in a folder of its own."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

# What brings OneFlow along is imported where it is used: this file is read before OneFlow is brought up.


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.inference.samples import make_weights

    return make_weights(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture
def run(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Runs the command in an empty folder that has ``in/a.png``; gives exit code, stdout and stderr."""
    from tests.inference.samples import make_image
    from yolo import detect

    monkeypatch.chdir(tmp_path)
    # The command's handler keeps the stderr it was made with; each test has its own.
    logger = logging.getLogger("yolo")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    make_image(Path("in/a.png"))
    base = ["--weights", str(weights), "--imgsz", "64", "--conf-thres", "0.001", "--max-det", "5", "--device", "cpu"]

    def call(*argv: str) -> tuple[int, str, str]:
        code = detect.main([*base, *argv])
        return code, *capfd.readouterr()

    return call
