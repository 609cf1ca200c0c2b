"""The views of test-time augmentation, against interpolation written out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from yolo.inference.views import AUGMENTED, View, kept_levels, seen, view_size


def interpolated(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, a pixel's value at its centre, nothing beyond the border: what YOLOv5 scales with."""

    def weights(to: int, of: int) -> np.ndarray:
        at = np.clip((np.arange(to) + 0.5) * of / to - 0.5, 0, of - 1)
        low = np.floor(at).astype(int)
        matrix = np.zeros((to, of))
        matrix[np.arange(to), low] += 1 - (at - low)
        matrix[np.arange(to), np.minimum(low + 1, of - 1)] += at - low
        return matrix

    return weights(height, plane.shape[0]) @ plane @ weights(width, plane.shape[1]).T


def test_the_sizes_are_those_of_yolov5() -> None:
    assert [view_size((640, 480), view.scale, 32) for view in AUGMENTED] == [(640, 480), (544, 416), (448, 352)]
    assert [(view.scale, view.mirrored) for view in AUGMENTED] == [(1.0, False), (0.83, True), (0.67, False)]


@pytest.mark.parametrize("view", [*AUGMENTED, View(1.0, True)])
@pytest.mark.parametrize("size", [(64, 96), (32, 32)])
def test_pixels(view: View, size: tuple[int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, *size), dtype=np.uint8)
    given = seen(images, view, 32)
    height, width = (int(side * view.scale) for side in size)
    assert given.shape == (2, 3, *view_size(size, view.scale, 32)) and given.dtype == np.uint8
    for image, source in zip(given.reshape(-1, *given.shape[2:]), images.reshape(-1, *size)):
        expected = interpolated(source[:, ::-1] if view.mirrored else source, height, width)
        assert np.abs(image[:height, :width] - expected).max() <= 1
    assert (given[..., height:, :] == 114).all() and (given[..., width:] == 114).all()


def test_the_levels_that_count() -> None:
    """YOLOv5 cuts N / (4^0 + … + 4^(nl - 1)) rows off: the last level's of the first view, times 4^(nl - 1) the first
    level's of the last view."""
    assert [list(kept_levels(3, number, 3)) for number in range(3)] == [[0, 1], [0, 1, 2], [1, 2]]
    assert [list(kept_levels(4, number, 3)) for number in range(3)] == [[0, 1, 2], [0, 1, 2, 3], [1, 2, 3]]
    assert [list(kept_levels(1, number, 3)) for number in range(3)] == [[0]] * 3
    assert list(kept_levels(3, 0, 1)) == [0, 1, 2]
