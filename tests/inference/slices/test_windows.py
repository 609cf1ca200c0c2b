"""Where images are cut."""

from __future__ import annotations

import numpy as np
import pytest

from yolo.errors import ConfigError
from yolo.inference.slices.windows import Slicing, given_slicing


@pytest.mark.parametrize(
    ("size", "count"),
    [((1080, 1920), 8), ((640, 640), 1), ((641, 640), 2), ((1152, 1152), 4), ((480, 600), 1), ((480, 1280), 3)],
)
def test_as_other_tools_cut(size: tuple[int, int], count: int) -> None:
    """What sahi and supervision give for 640 and 0.2."""
    windows = Slicing(640, 0.2).windows(size)
    assert len(windows) == count
    assert windows[-1].tolist()[2:] == [size[1], size[0]]


def test_the_last_of_a_row_is_moved_back() -> None:
    assert Slicing(640, 0.2).windows((641, 640)).tolist() == [[0, 0, 640, 640], [0, 1, 640, 641]]
    columns = Slicing(640, 0.2).windows((300, 1920))
    assert columns[:, 0].tolist() == [0, 512, 1024, 1280] and set(map(tuple, columns[:, [1, 3]].tolist())) == {(0, 300)}


@pytest.mark.parametrize("overlap", [0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("side", [1, 7, 32])
def test_all_pixels_are_in_windows_of_one_shape_that_share_enough(side: int, overlap: float) -> None:
    rng = np.random.default_rng(side)
    for height, width in [(1, 1), (1, 200), (200, 1), *rng.integers(1, 150, (20, 2)).tolist()]:
        windows = Slicing(side, overlap).windows((height, width))
        shown = np.zeros((height, width), int)
        for left, top, right, bottom in windows.tolist():
            assert 0 <= left < right <= width and 0 <= top < bottom <= height
            shown[top:bottom, left:right] += 1
        assert shown.min() >= 1
        sides = windows[:, 2:] - windows[:, :2]
        assert (sides == (min(side, width), min(side, height))).all()
        starts = np.unique(windows[:, 0])
        assert (np.diff(starts) <= max(1, side - int(side * overlap))).all()


@pytest.mark.parametrize("size", [None, 0])
def test_none_are_wanted(size: int | None) -> None:
    assert given_slicing(size, 0.2) is None


@pytest.mark.parametrize(
    ("size", "overlap", "where"),
    [
        (-1, 0.2, "slice"), (0.5, 0.2, "slice"), ("640", 0.2, "slice"), (float("nan"), 0.2, "slice"),
        (640, -0.1, "overlap"), (640, 1, "overlap"), (640, 0.99, "overlap"), (640, float("nan"), "overlap"),
        (None, "0.2", "overlap"), (None, 0.3, "overlap"), (0, 0.3, "overlap"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(size: object, overlap: object, where: str) -> None:
    with pytest.raises(ConfigError, match=f"^{where}: is "):
        given_slicing(size, overlap)
