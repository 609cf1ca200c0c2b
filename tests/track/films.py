"""Films of a red and a blue rectangle on grey, which the network of ``learnt`` finds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from tests.train.samples import COLOURS
from yolo.data.images import write_image

SIZE = (64, 96)
Image = np.ndarray


def drawn(red: int | None = None, blue: int | None = None, *, strength: float = 1.0) -> Image:
    """A frame with their left edges there; ``strength`` is how much of its colour the red one has."""
    image = np.full((*SIZE, 3), 128, np.uint8)
    if red is not None:
        image[8:30, red : red + 15] = np.round(strength * np.array(COLOURS[0]) + (1 - strength) * 128)
    if blue is not None:
        image[34:58, blue : blue + 15] = COLOURS[1]
    return image


def meeting(count: int = 12, missing: Iterable[int] = (), speed: int = 5) -> list[Image]:
    """Red goes to the right and blue to the left, so many pixels a frame; in frames ``missing`` (from 1) red is not."""
    way, missing = [speed * frame for frame in range(count)], set(missing)
    return [drawn(None if frame in missing else 2 + x, 78 - x) for frame, x in enumerate(way, 1)]


def write_folder(folder: Path, images: Sequence[Image]) -> Path:
    for number, image in enumerate(images, 1):
        write_image(folder / f"{number}.png", image)
    return folder


def write_video(path: Path, images: Sequence[Image], fps: float = 30) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    # OpenCV reads this once, before its first video; the project sets it too, but may come second here.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), fps, SIZE[::-1])
    assert writer.isOpened()
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()
    return path
