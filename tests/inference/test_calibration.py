"""The images that int8 is calibrated on."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from yolo.data.images import write_image
from yolo.data.load import load_dataset
from yolo.errors import DataError
from yolo.inference.calibration import Calibration


def dataset(folder: Path, broken: dict[str, bytes]) -> Calibration:
    images = folder / "images" / "train"
    images.mkdir(parents=True)
    for number in range(3 if len(broken) < 3 else 0):
        write_image(images / f"{number}.png", np.full((40, 64, 3), number, np.uint8))
    for name, content in broken.items():
        (images / name).write_bytes(content)
    (folder / "d.yaml").write_text("path: .\ntrain: images/train\nval: images/train\nnames: [a]\n")
    return Calibration(load_dataset(folder / "d.yaml"), (64, 64))


def cut_off(folder: Path) -> bytes:
    """A file whose head is whole, so that it is noticed when its pixels are read."""
    path = write_image(folder / "whole.jpg", np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8))
    return path.read_bytes()[:-1500]


def test_images_are_letterboxed_as_for_detection(tmp_path: Path) -> None:
    images = dataset(tmp_path, {}).images(32)
    assert [image.shape for image in images] == [(3, 64, 64)] * 3
    assert sorted({int(image[0, 32, 32]) for image in images}) == [0, 1, 2]


def test_what_cannot_be_read_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = {"0a.png": b"no image", "1a.jpg": cut_off(tmp_path)}
    with caplog.at_level(logging.WARNING, "yolo"):
        images = dataset(tmp_path, broken).images(32)
    assert len(images) == 3
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2 and all(line.startswith("left out of the calibration: ") for line in said)
    assert "0a.png" in said[0] and "1a.jpg" in said[1]


def test_there_must_be_one(tmp_path: Path) -> None:
    broken = {f"{number}.png": b"no image" for number in range(3)}
    with pytest.raises(DataError, match=r"2\.png"):
        dataset(tmp_path, broken).images(32)
