"""Where boxes will be in the next frame: a Kalman filter with constant velocity.

The state of a box is its centre, width and height, and how each of these changes a frame (constant velocity: Bewley et
al., SORT, arXiv 1602.00763). Noise grows with the box: of a position 1/20 of its width or height, of a velocity 1/160
(Wojke et al., DeepSORT, arXiv 1703.07402), x and width by the width, y and height by the height (Aharon et al.,
BoT-SORT, arXiv 2206.14651, equations 1 to 6). Transition, measurement and all noise treat the four numbers of a box
apart, so the filter's matrices of 8×8 are four of 2×2: each number with its velocity. Those are written out here, for
all boxes at once.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_POSITION, _VELOCITY = 1 / 20, 1 / 160
# DeepSORT's: a new box's position is known twice as badly as a measured one, its velocity ten times as a frame adds.
_FIRST_POSITION, _FIRST_VELOCITY = 2 * _POSITION, 10 * _VELOCITY


@dataclasses.dataclass(frozen=True, eq=False)
class Motion:
    """Boxes that move: float64 ``[n, 4]`` each, in the order centre x, centre y, width, height; pixels and frames.

    ``variance`` and ``speed_variance`` are those of ``place`` and ``speed``, ``covariance`` is theirs together.
    """

    place: Floats
    speed: Floats
    variance: Floats
    covariance: Floats
    speed_variance: Floats

    @classmethod
    def at(cls, boxes: Floats) -> Motion:
        """Boxes (xywh, pixels, ``[n, 4]``) seen for the first time: at rest, as far as is known."""
        scale, none = _scale(boxes), np.zeros(boxes.shape)
        return cls(boxes.astype(np.float64), none, (_FIRST_POSITION * scale) ** 2, none, (_FIRST_VELOCITY * scale) ** 2)

    def __len__(self) -> int:
        return len(self.place)

    def __getitem__(self, chosen: NDArray[np.generic]) -> Motion:
        """Some of the boxes, by a mask or by numbers."""
        return Motion(*(values[chosen] for values in self._values()))

    def joined(self, other: Motion) -> Motion:
        """These boxes, then those."""
        return Motion(*(np.concatenate(pair) for pair in zip(self._values(), other._values())))

    def after(self, frames: int) -> Motion:
        """So many frames later, unseen: x' = F x and P' = F P Fᵀ + Q for each frame, with F = [[1, 1], [0, 1]].

        Q is that of the boxes as they are now, so that the sum over the frames is written down, not added up.
        """
        scale, k = _scale(self.place), frames
        drift = (_VELOCITY * scale) ** 2
        return Motion(
            self.place + k * self.speed,
            self.speed,
            self.variance
            + 2 * k * self.covariance
            + k**2 * self.speed_variance
            + k * (_POSITION * scale) ** 2
            + (k - 1) * k * (2 * k - 1) / 6 * drift,
            self.covariance + k * self.speed_variance + (k - 1) * k / 2 * drift,
            self.speed_variance + k * drift,
        )

    def seen_at(self, boxes: Floats) -> Motion:
        """With what was measured of each (xywh, ``[n, 4]``): K = P Hᵀ / (H P Hᵀ + R), P' = (I − K H) P, H = [1, 0]."""
        noise = (_POSITION * _scale(self.place)) ** 2
        total = self.variance + noise
        gain, speed_gain, surprise = self.variance / total, self.covariance / total, boxes - self.place
        return Motion(
            self.place + gain * surprise,
            self.speed + speed_gain * surprise,
            self.variance * noise / total,
            self.covariance * noise / total,
            self.speed_variance - speed_gain * self.covariance,
        )

    def with_seen(self, places: NDArray[np.int64], boxes: Floats) -> Motion:
        """The same for the boxes at ``places`` alone."""
        columns = [values.copy() for values in self._values()]
        for values, new in zip(columns, self[places].seen_at(boxes)._values()):
            values[places] = new
        return Motion(*columns)

    def of_constant_size(self, which: NDArray[np.bool_]) -> Motion:
        """Those of ``which``, ``[n]``, grow and shrink no more: nobody sees them, and a box of no width meets none."""
        speed = self.speed.copy()
        speed[which, 2:] = 0
        return dataclasses.replace(self, speed=speed)

    @property
    def xyxy(self) -> NDArray[np.float32]:
        """Corners of the boxes, float32 ``[n, 4]``."""
        centre, half = self.place[:, :2], np.maximum(self.place[:, 2:], 0) / 2
        return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)

    def _values(self) -> tuple[Floats, ...]:
        return self.place, self.speed, self.variance, self.covariance, self.speed_variance


def _scale(boxes: Floats) -> Floats:
    """What the noise of x, y, width and height is in proportion to: width, height, width, height; at least a pixel."""
    return np.maximum(np.tile(boxes[:, 2:], 2), 1.0)
