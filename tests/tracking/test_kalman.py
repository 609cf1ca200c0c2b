"""The filter of four numbers apart is the one of 8×8 matrices."""

from __future__ import annotations

import numpy as np
import pytest

from yolo.tracking.kalman import Motion

BOXES = np.array([[100, 80, 40, 90], [300.5, 20, 200, 30], [5, 5, 0, 0.5]], np.float64)


class Matrices:
    """One box by the textbook's equations (Kalman 1960), with DeepSORT's and BoT-SORT's noise."""

    def __init__(self, box: np.ndarray) -> None:
        self.mean = np.concatenate([box, np.zeros(4)])
        scale = self._scale()
        self.covariance = np.diag(np.concatenate([2 / 20 * scale, 10 / 160 * scale]) ** 2)

    def _scale(self) -> np.ndarray:
        return np.maximum(self.mean[[2, 3, 2, 3]], 1)

    def after(self, frames: int) -> None:
        step = np.eye(8) + np.eye(8, k=4)
        noise = np.diag(np.concatenate([self._scale() / 20, self._scale() / 160]) ** 2)
        for _ in range(frames):
            self.mean = step @ self.mean
            self.covariance = step @ self.covariance @ step.T + noise

    def seen_at(self, box: np.ndarray) -> None:
        look = np.eye(4, 8)
        total = look @ self.covariance @ look.T + np.diag((self._scale() / 20) ** 2)
        gain = self.covariance @ look.T @ np.linalg.inv(total)
        self.mean = self.mean + gain @ (box - look @ self.mean)
        self.covariance = (np.eye(8) - gain @ look) @ self.covariance

    def equals(self, motion: Motion, place: int) -> bool:
        blocks = [(self.covariance[i, i], self.covariance[i, i + 4], self.covariance[i + 4, i + 4]) for i in range(4)]
        numbers = (motion.variance, motion.covariance, motion.speed_variance)
        ours = np.concatenate([motion.place[place], motion.speed[place], *(values[place] for values in numbers)])
        return np.allclose(ours, np.concatenate([self.mean, *np.transpose(blocks)]), rtol=1e-9, atol=1e-9)


def test_a_film_of_boxes_is_that_of_the_matrices() -> None:
    rng = np.random.default_rng(0)
    motion, others = Motion.at(BOXES), [Matrices(box) for box in BOXES]
    for frames in (1, 1, 2, 1, 7, 1, 30):
        seen = motion.after(frames).place + rng.normal(0, 3, BOXES.shape)
        motion = motion.after(frames).seen_at(seen)
        for other, box in zip(others, seen):
            other.after(frames)
            other.seen_at(box)
        assert all(other.equals(motion, place) for place, other in enumerate(others))


def test_a_constant_velocity_is_learnt() -> None:
    box, speed = np.array([[50.0, 60, 20, 40]]), np.array([[3.0, -1, 0.5, 0]])
    motion = Motion.at(box)
    for frame in range(1, 60):
        motion = motion.after(1).seen_at(box + frame * speed)
    np.testing.assert_allclose(motion.speed, speed, atol=0.01)
    np.testing.assert_allclose(motion.after(10).place, box + 69 * speed, atol=0.2)


def test_one_that_nobody_sees_keeps_its_size() -> None:
    motion = Motion.at(BOXES)
    motion = motion.after(1).seen_at(BOXES + [1, 2, 3, -4])
    still = motion.of_constant_size(np.array([True, False, False])).after(5)
    moved = motion.after(5)
    np.testing.assert_array_equal(still.place[0, 2:], motion.place[0, 2:])
    np.testing.assert_array_equal(still.place[0, :2], moved.place[0, :2])
    np.testing.assert_array_equal(still.place[1:], moved.place[1:])


def test_some_are_seen_and_others_are_not() -> None:
    motion = Motion.at(BOXES).after(1)
    seen = motion.with_seen(np.array([2, 0]), BOXES[[2, 0]] + 1)
    assert (seen.place[1] == motion.place[1]).all() and (seen.variance[1] == motion.variance[1]).all()
    expected = motion.seen_at(BOXES + 1)
    np.testing.assert_array_equal(seen.place[[0, 2]], expected.place[[0, 2]])
    np.testing.assert_array_equal(seen.speed_variance[[0, 2]], expected.speed_variance[[0, 2]])


def test_corners_never_cross() -> None:
    shrinking = Motion.at(np.array([[10.0, 10, 4, 4]])).after(1).seen_at(np.array([[10.0, 10, 1, 1]]))
    x1, y1, x2, y2 = shrinking.after(50).xyxy[0]
    assert shrinking.after(50).place[0, 2] < 0 and (x1, y1) == (x2, y2)


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one(count: int) -> None:
    motion = Motion.at(BOXES[:count]).after(1)
    assert len(motion) == count and motion.xyxy.shape == (count, 4) and motion.xyxy.dtype == np.float32
    assert len(motion.joined(Motion.at(BOXES))) == count + 3
