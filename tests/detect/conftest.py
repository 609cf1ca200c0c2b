"""The command with small weights, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.in_folder import in_folder

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

    base = ["--weights", str(weights), "--imgsz", "64", "--conf-thres", "0.001", "--max-det", "5", "--device", "cpu"]
    run = in_folder(tmp_path, detect.main, base, monkeypatch, capfd)
    make_image(Path("in/a.png"))
    return run
