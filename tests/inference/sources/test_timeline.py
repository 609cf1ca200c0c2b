"""A video's timeline: frames, their rate and whether the end is missing, from packets and what a file announces."""

from __future__ import annotations

import numpy as np
import pytest

from yolo.inference.sources.timeline import Timeline

EVEN = np.arange(250) / 25
UNEVEN = np.sort(np.concatenate([np.arange(50) / 30, 2 + np.arange(50) / 10]))


@pytest.mark.parametrize(
    ("times", "announced", "rate", "count", "fps", "cut_off"),
    [
        pytest.param(EVEN, 250, 25, 250, 25, False, id="even"),
        pytest.param(EVEN, 255, 25, 250, 25, False, id="with sound for 0.2 s more"),
        pytest.param(EVEN, 270, 25, 250, 25, True, id="of 10.8 s the last 0.8 are missing"),
        pytest.param(EVEN[:38], 40, 25, 38, 25, False, id="two frames of sound"),
        pytest.param(EVEN[:30], 40, 25, 30, 25, True, id="of 1.6 s the last 0.4 are missing"),
        pytest.param(EVEN, 1, 25, 250, 25, False, id="MPEG announces one frame"),
        pytest.param(EVEN, None, 25, 250, 25, False, id="announces nothing"),
        pytest.param(EVEN / 2, 125, 25, 125, 25, False, id="two packets a frame"),
        pytest.param(UNEVEN, 207, 30, 100, 14.35, False, id="uneven, the length in steps of 1/30 s"),
        pytest.param(UNEVEN, 100, 100 / 6.9, 100, 100 / 6.9, False, id="uneven, the average announced"),
        pytest.param(UNEVEN, 621_000, 90_000, 100, 14.35, False, id="uneven, the length in steps of the clock"),
        pytest.param(UNEVEN[:60], 207, 30, 60, 59 / 2.9, True, id="uneven and cut off"),
        pytest.param(np.append(EVEN, 90_000), 251, 25, 251, 25, False, id="the clock jumps"),
        pytest.param(np.empty(0), 40, 25, 40, 25, False, id="no packets"),
        pytest.param(np.empty(0), None, 90_000, None, 30, False, id="nothing at all"),
        pytest.param(np.zeros(40), 40, 25, 40, 25, False, id="no times"),
        pytest.param(EVEN[:1], 1, 25, 1, 25, False, id="one frame"),
    ],
)
def test_frames_rate_and_end(
    times: np.ndarray, announced: int | None, rate: float, count: int | None, fps: float, cut_off: bool
) -> None:
    line = Timeline(times, announced, rate)
    assert (line.count, line.is_cut_off) == (count, cut_off)
    assert line.fps == pytest.approx(fps, rel=1e-3)
