"""A small network that was trained on coloured rectangles, and the val command on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.train.samples import Done, Workshop, run
from yolo import val


@pytest.fixture(scope="package")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("val"))


@pytest.fixture(scope="package")
def trained(shop: Workshop) -> Done:
    done = shop.train("learnt", "--noplots", "--noval", "--json", epochs="120", optimizer="AdamW")
    assert done.code == 0, done.err
    return done


@pytest.fixture
def measure(shop: Workshop, trained: Done, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the command on the best weights, in a folder of this test's own."""
    monkeypatch.chdir(tmp_path)

    def call(*flags: str, **instead: str) -> Done:
        options = {
            "--weights": str(trained.folder / "weights/best.safetensors"),
            "--data": str(shop.data),
            "--imgsz": "64",
            "--batch-size": "4",
            "--device": "cpu",
            "--project": str(tmp_path / "runs"),
            **{f"--{name.replace('_', '-')}": value for name, value in instead.items()},
        }
        argv = [*(word for pair in options.items() for word in pair), *flags]
        return run(val.main, argv, Path(options["--project"]) / options.get("--name", "exp"))

    return call
