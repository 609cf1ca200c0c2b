"""Synthetic films: what is where, and what a detector would say of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tests.inference.samples import noise
from yolo.inference.followers import Followers
from yolo.inference.outputs.mot import MotFiles
from yolo.inference.results import Result
from yolo.inference.sources.base import Frame
from yolo.tracking.bytetrack import TrackSettings

Box = tuple[float, float, float, float]
Way = Callable[[int], Box | None]
"""Of a frame's number, from 1: where an object is then (xyxy, pixels); None where it is not."""


def steady(x: float, y: float, speed: tuple[float, float] = (0, 0), frames: range = range(1, 1000)) -> Way:
    """An object of 40 × 80 pixels whose corner is at (x, y) in frame 1."""

    def way(frame: int) -> Box | None:
        left, top = x + speed[0] * (frame - 1), y + speed[1] * (frame - 1)
        return (left, top, left + 40, top + 80) if frame in frames else None

    return way


@dataclasses.dataclass(frozen=True)
class Film:
    """Objects by number, and frame by frame the confidence of their boxes where that is not 0.9; 0: not found."""

    objects: Mapping[int, Way]
    confidences: Mapping[tuple[int, int], float] = dataclasses.field(default_factory=dict)
    """(object, frame) -> confidence."""
    wrong: Mapping[int, Box] = dataclasses.field(default_factory=dict)
    """Frame -> a box where nothing is."""
    length: int = 40
    settings: TrackSettings = dataclasses.field(default_factory=TrackSettings)

    def truth(self, frame: int) -> list[tuple[int, Box]]:
        return [(number, box) for number, way in self.objects.items() if (box := way(frame)) is not None]

    def rows(self, frame: int) -> np.ndarray:
        found = [(*box, self.confidences.get((number, frame), 0.9), 0) for number, box in self.truth(frame)]
        found += [(*self.wrong[frame], 0.9, 0)] if frame in self.wrong else []
        return np.array([row for row in found if row[4]], np.float32).reshape(-1, 6)

    def write(self, name: str, truth: Path, tracks: Path) -> None:
        """``truth``/NAME/gt/gt.txt as MOTChallenge has it, and ``tracks``/NAME.txt as yolo.track writes it."""
        lines = []
        followers, files = Followers(self.settings), MotFiles(tracks)
        for frame in range(1, self.length + 1):
            for number, (x1, y1, x2, y2) in self.truth(frame):
                lines.append(f"{frame},{number},{x1 + 1},{y1 + 1},{x2 - x1},{y2 - y1},1,1,1\n")
            image = Frame(noise(), Path(f"{name}.mp4"), 1, frame, fps=30)
            files.add(followers.follow(image, Result(noise(), self.rows(frame), ("person",))), image)
        files.finish()
        (truth / name / "gt").mkdir(parents=True)
        (truth / name / "gt" / "gt.txt").write_text("".join(lines))
