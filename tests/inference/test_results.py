"""Results as people and programs meet them: short in words, rows to go through, refusals in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.inference.samples import NAMES, noise
from yolo.errors import ConfigError, DataError
from yolo.inference.results import Result
from yolo.inference.sources.base import Frame

ROWS = np.array([[1, 2, 30, 40, 0.9, 0], [5, 6, 20, 30, 0.8, 1], [0, 0, 9, 9, 0.5, 0]], np.float32)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"path": Path("in/bus.jpg")}, "Result(bus.jpg 64x48: 2 cats, 1 traffic light/red)"),
        ({"path": Path("a.mp4"), "frame": 7}, "Result(a.mp4 frame 7 64x48: 2 cats, 1 traffic light/red)"),
        ({"rows": ROWS[:0]}, "Result(64x48: (no detections))"),
    ],
)
def test_its_words_are_short(fields: dict, text: str) -> None:
    assert repr(Result(noise(), fields.pop("rows", ROWS), NAMES, **fields)) == text


def test_a_frame_does_not_print_its_pixels() -> None:
    assert len(repr(Frame(noise(), Path("a.mp4"), 1, 7))) < 200


def test_it_is_gone_through_by_rows() -> None:
    result = Result(noise(), ROWS, NAMES)
    assert len(result) == 3 and len(list(result)) == 3
    for row, (*box, confidence, number) in zip(ROWS, result):
        assert (box, confidence, number) == (row[:4].tolist(), row[4], row[5])
    assert np.array_equal(result[-1], ROWS[2]) and np.array_equal(result[:2], ROWS[:2])
    with pytest.raises(IndexError):
        _ = result[3]


@pytest.mark.parametrize("width", [0, -1, 1.5, "3", 10**6])
def test_a_line_width_that_cannot_be_drawn(width: object) -> None:
    with pytest.raises(ConfigError, match="line_width: is "):
        Result(noise(), ROWS, NAMES).annotated(line_width=width)


@pytest.mark.parametrize("width", [1, 2.0, np.int64(3), 200])
def test_line_widths(width: float) -> None:
    drawn = Result(noise(), ROWS, NAMES).annotated(line_width=width)
    assert drawn.shape == noise().shape and (drawn != noise()).any()


@pytest.mark.parametrize("path", [None, 5, b"a.png", "a\0.png", "a.xyz", ""])
def test_what_is_no_image_s_path(path: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError):
        Result(noise(), ROWS, NAMES).save(path)
    assert not list(tmp_path.iterdir())
