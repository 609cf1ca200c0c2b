"""``python train.py`` is ``python -m yolo.train``, and so are the others."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("command", ["train", "val", "detect", "export"])
def test_a_file_for_each_command(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    file = ROOT / f"{command}.py"
    assert len(file.read_text().splitlines()) <= 10
    monkeypatch.setattr(sys, "argv", [str(file), "--help"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(file), run_name="__main__")
    assert caught.value.code == 0 and capsys.readouterr().out.startswith(f"usage: yolo.{command} ")


def test_the_file_is_started_from_anywhere(tmp_path: Path) -> None:
    """As a launcher of ranks starts it: as a script, in whatever folder."""
    command = [sys.executable, "-u", str(ROOT / "train.py"), "--help"]
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120)
    assert done.returncode == 0 and done.stdout.startswith("usage: yolo.train "), done.stderr
