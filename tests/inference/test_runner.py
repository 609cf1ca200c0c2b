"""How batches are split and how long they took."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from yolo.inference.runner import Part, Runner, at_once

COMPILING, RUNNING, SUPPRESSING = 32.0, 0.5, 0.125
"""Seconds by the clock of the tests."""


@dataclasses.dataclass
class Clock:
    """Goes on only when told to."""

    now: float = 0.0

    def perf_counter(self) -> float:
        return self.now


class Noting(Runner):
    """Finds as many objects in an image as its first pixel says; each shape is compiled once."""

    pixels_at_once = 2 * 8 * 8
    compile_seconds = 0.0

    def __init__(self, clock: Clock) -> None:
        self.clock, self.parts, self.known, self._shapes = clock, [], [], set()

    def _part(self, images: np.ndarray, known: Sequence[np.ndarray]) -> Part:
        if images.shape not in self._shapes:
            self._shapes.add(images.shape)
            self.clock.now += COMPILING
            self.compile_seconds += COMPILING
        self.clock.now += RUNNING + SUPPRESSING
        self.parts.append(len(images))
        self.known += known
        return np.full((len(images), 1, 6), 7, np.float32), images[:, 0, 0, 0].astype(np.int32), SUPPRESSING


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Noting:
    clock = Clock()
    monkeypatch.setattr("yolo.inference.runner.time", clock)
    return Noting(clock)


def test_parts_are_put_together_in_order(runner: Noting) -> None:
    images = np.arange(5, dtype=np.uint8).repeat(3 * 8 * 8).reshape(5, 3, 8, 8)
    found = runner.detect(images, list("abcde"))
    assert runner.parts == [2, 2, 1] and runner.known == list("abcde")
    assert found.counts.tolist() == [0, 1, 2, 3, 4] and found.rows.shape == (5, 1, 6)


def test_compiling_is_no_part_of_the_time(runner: Noting) -> None:
    images = np.zeros((5, 3, 8, 8), np.uint8)
    for _ in range(2):
        found = runner.detect(images)
        assert (found.network_seconds, found.nms_seconds) == (3 * RUNNING, 3 * SUPPRESSING)
    assert runner.compile_seconds == 2 * COMPILING


@pytest.mark.parametrize(("size", "count"), [((640, 640), 1), ((1280, 1280), 1), ((320, 640), 2), ((64, 64), 100)])
def test_one_large_image_or_many_small_ones(size: tuple[int, int], count: int) -> None:
    assert at_once(*size) == count
