"""A small detector as one file, and a server of it in a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.serving.client import Client
    from yolo.inference.detector import Detector

# What brings OneFlow along is imported where it is used: this file is read before OneFlow is brought up.


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.inference.samples import make_weights

    return make_weights(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(scope="session")
def program(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same compiled: it is loaded in no time."""
    from yolo.export import main

    copy = shutil.copy(weights, tmp_path_factory.mktemp("program"))
    assert main(["--weights", str(copy), "--imgsz", "64"]) == 0
    return Path(copy).with_suffix(".program")


@pytest.fixture(scope="session")
def detector(program: Path) -> Detector:
    from yolo.inference.detector import Detector

    return Detector(program, device="cpu", imgsz=64, conf=0.001, max_det=20)


@pytest.fixture(scope="module")
def client(program: Path) -> Iterator[Client]:
    from tests.serving.client import server

    limits = ("--max-megabytes", "0.2", "--max-megapixels", "1", "--max-queue", "2", "--receive-seconds", "1")
    with server(program, *limits) as (client, _):
        yield client
