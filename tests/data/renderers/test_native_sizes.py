"""The native renderer at sizes that hardly occur."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.renderers.photos import lossless_jpeg, photo, save_jpeg
from tests.data.renderers.test_native import both, sample
from yolo.data.plan import Tile, View
from yolo.native import Renderer


@pytest.mark.parametrize("out", [(48, 48), (32, 32), (31, 20), (128, 24), (16, 200), (9, 9)])
def test_a_finished_sample_of_another_size_is_opencvs(tmp_path: Path, out: tuple[int, int]) -> None:
    """From a third on its first rows and columns are not looked at: --multi-scale at three strides."""
    path = save_jpeg(tmp_path / "0.jpg", photo((96, 96)))
    view = View((96, 96), (Tile(0, (96, 96), (0, 0)),), (96, 96))
    theirs, ours = both([sample(view)], [path], out)
    np.testing.assert_array_equal(theirs, ours)


def test_a_lossless_jpeg_that_would_be_divided_is_left_to_opencv(tmp_path: Path) -> None:
    """libjpeg gives it whole, whatever it is asked for; so narrow a one is not cropped, either."""
    path = tmp_path / "narrow.jpg"
    path.write_bytes(lossless_jpeg(64, 3))
    view = View((8, 1), (Tile(0, (8, 1), (0, 0)),), (8, 1))
    theirs, ours = both([sample(view)], [path])
    np.testing.assert_array_equal(theirs, ours)


@pytest.mark.stress
def test_a_canvas_of_more_than_2_gib() -> None:
    canvas, size = (65536, 10960), (600, 64)
    matrix = [size[1] / canvas[1], 0, 0, 0, size[0] / canvas[0], 0, 0, 0, 1]
    planes = np.zeros((3, *size), np.uint8)
    Renderer("").render([(planes, size, [(canvas, size, matrix, None, [])], 1.0, None, False, False, True)], 0)
    assert (planes == 114).all()
