"""One small detector for all tests of this folder: each shape it meets costs a compilation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from yolo.inference.detector import Detector


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # OneFlow must not be imported with this file, which may come before the session's set-up of it.
    from tests.inference.samples import make_weights

    return make_weights(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(scope="session")
def detector(weights: Path) -> Detector:
    from yolo.inference.detector import Detector

    return Detector(weights, device="cpu", imgsz=64, conf=0.001, max_det=20)
