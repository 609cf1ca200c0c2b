"""``python train.py`` is ``python -m yolo.train``, and so are the others."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from tests.launched import launch
from tests.train_samples import Workshop
from yolo.models.weights.load import load_weights

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("command", ["train", "val", "detect", "export"])
def test_a_file_for_each_command(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    file = ROOT / f"{command}.py"
    assert len(file.read_text().splitlines()) <= 10
    monkeypatch.setattr(sys, "argv", [str(file), "--help"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(file), run_name="__main__")
    assert caught.value.code == 0 and capsys.readouterr().out.startswith(f"usage: yolo.{command} ")


@pytest.mark.slow
def test_the_file_trains_on_ranks(tmp_path: Path) -> None:
    shop = Workshop.make(tmp_path)
    argv = shop.argv("two", "--noplots", "--noval", "--sync-bn", "--log-ranks", "1", epochs="1")
    done = launch([str(ROOT / "train.py"), *argv], 2, environment={"PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr[-3000:]
    assert "[rank 1] 8 training images" in done.stderr
    assert load_weights(tmp_path / "runs/two/weights/last.safetensors").training is not None
