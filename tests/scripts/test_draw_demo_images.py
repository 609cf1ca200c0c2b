"""The demo images are what their script draws."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.draw_demo_images import FOLDER, room, street
from yolo.data.images import read_image


@pytest.mark.parametrize("draw", [room, street])
def test_the_images_are_drawn_by_the_project(draw) -> None:
    kept = read_image(FOLDER / f"{draw.__name__}.png").astype(int)
    assert kept.shape == (480, 640, 3) and np.abs(kept - draw()).max() <= 1
