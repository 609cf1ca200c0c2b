"""The command with weights that find coloured rectangles, in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.in_folder import in_folder


@pytest.fixture(scope="module")
def weights(learnt) -> Path:
    return learnt.folder / "weights" / "best.safetensors"


@pytest.fixture
def run(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Runs the command in an empty folder; gives exit code, stdout and stderr."""
    from yolo import track

    return in_folder(
        tmp_path, track.main, ["--weights", str(weights), "--imgsz", "96", "--device", "cpu"], monkeypatch, capfd
    )
