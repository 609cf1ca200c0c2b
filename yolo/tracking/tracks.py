"""The boxes of a frame, and the tracks that are followed: plain columns, one entry a box or a track."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import ArrayLike, NDArray

from yolo.tracking.kalman import Motion

Places = NDArray[np.int64]

CANDIDATE = 0
"""Instead of the id of a track that is not confirmed."""


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """Detections: xyxy float32 ``[n, 4]`` (pixels), confidences float32 ``[n]``, classes int64 ``[n]``."""

    xyxy: NDArray[np.float32]
    confidences: NDArray[np.float32]
    classes: NDArray[np.int64]

    @classmethod
    def of(cls, rows: ArrayLike) -> Found:
        """Of detection rows ``[n, 6]``; raises ValueError for another shape or what is not finite."""
        rows = np.asarray(rows, np.float32)
        if rows.ndim != 2 or rows.shape[1] != 6:
            raise ValueError(f"rows of shape {list(rows.shape)}; give [n, 6]: x1, y1, x2, y2, confidence, class")
        if not np.isfinite(rows).all():
            raise ValueError("rows hold what is not finite")
        return cls(np.ascontiguousarray(rows[:, :4]), rows[:, 4], rows[:, 5].astype(np.int64))

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, places: Places) -> Found:
        return Found(self.xyxy[places], self.confidences[places], self.classes[places])

    @property
    def xywh(self) -> NDArray[np.float64]:
        """Centre, width and height, pixels."""
        near, far = self.xyxy[:, :2].astype(np.float64), self.xyxy[:, 2:].astype(np.float64)
        return np.concatenate([(near + far) / 2, far - near], axis=1)


@dataclasses.dataclass(frozen=True, eq=False)
class Tracks:
    """What is followed: how it moves; its id or ``CANDIDATE``; its class; the frame of its last box: int64 ``[n]``."""

    motion: Motion
    ids: NDArray[np.int64]
    classes: NDArray[np.int64]
    seen: NDArray[np.int64]

    @classmethod
    def begun(cls, found: Found, ids: NDArray[np.int64], frame: int) -> Tracks:
        """Of detections seen for the first time."""
        return cls(Motion.at(found.xywh), ids, found.classes, np.full(len(found), frame, np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, chosen: NDArray[np.generic]) -> Tracks:
        """Some of them, by a mask or by places."""
        return Tracks(self.motion[chosen], self.ids[chosen], self.classes[chosen], self.seen[chosen])

    def joined(self, other: Tracks) -> Tracks:
        """These, then those."""
        columns = ((self.ids, other.ids), (self.classes, other.classes), (self.seen, other.seen))
        return Tracks(self.motion.joined(other.motion), *map(np.concatenate, columns))

    def after(self, frames: int) -> Tracks:
        """So many frames later."""
        return dataclasses.replace(self, motion=self.motion.after(frames))

    def seen_at(self, places: Places, found: Found, frame: int) -> Tracks:
        """Those at ``places`` are where ``found`` says, one detection each; what is lost keeps its size."""
        is_seen = np.zeros(len(self), bool)
        is_seen[places] = True
        motion = self.motion.of_constant_size(~is_seen).with_seen(places, found.xywh)
        classes, seen = self.classes.copy(), self.seen.copy()
        classes[places], seen[places] = found.classes, frame
        return Tracks(motion, self.ids, classes, seen)
