"""Objects cut out: how much is around them, and which files they become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.inference.samples import NAMES, noise
from yolo.data.images import read_image
from yolo.errors import DataError
from yolo.inference.outputs.crops import cut_out
from yolo.inference.outputs.writer import Outputs, ResultWriter
from yolo.inference.results import Result
from yolo.inference.sources.base import Frame

ROWS = np.array([[8, 12, 40, 36, 0.9, 0], [0, 0, 64, 48, 0.5, 1], [10, 10, 20, 20, 0.25, 0]], np.float32)


def test_crops_are_a_little_larger_than_their_boxes() -> None:
    image = np.arange(100 * 200 * 3, dtype=np.uint32).astype(np.uint8).reshape(100, 200, 3)
    # 50 x 20 at (100, 50): 51 + 10 by 20.4 + 10, corners cut to whole pixels.
    inside = cut_out(image, np.array([75.2, 39.8, 125.4, 60.3], np.float32))
    np.testing.assert_array_equal(inside, image[34:65, 69:130])
    assert cut_out(image, np.array([0, 0, 200, 100], np.float32)).shape == image.shape
    assert cut_out(image, np.array([200, 100, 200, 100], np.float32)).shape == (5, 5, 3)
    assert cut_out(image[:1], np.array([3, 0, 9, 1], np.float32)).shape == (1, 14, 3)


def test_a_result_s_crops_are_the_best_first() -> None:
    crops = Result(noise(), ROWS, NAMES).crop()
    assert len(crops) == 3
    for crop, row in zip(crops, ROWS):
        np.testing.assert_array_equal(crop, cut_out(noise(), row[:4]))


def test_a_result_s_files_are_those_of_a_run(tmp_path: Path) -> None:
    result = Result(noise(), ROWS, NAMES, Path("in/bus.png"))
    with ResultWriter(tmp_path / "run", Outputs(images=False, crops=True)) as writer:
        writer.write(result, Frame(noise(), result.path, 1))
    files = result.save_crops(tmp_path / "crops")
    assert [str(file.relative_to(tmp_path / "crops")) for file in files] == [
        *("cat/bus.jpg", "traffic light_red/bus.jpg", "cat/bus2.jpg"),
    ]
    for file in files:
        assert file.read_bytes() == (tmp_path / "run" / file.relative_to(tmp_path)).read_bytes()


def test_files_that_are_there_stay(tmp_path: Path) -> None:
    result = Result(noise(), ROWS, NAMES)
    first, second = (result.save_crops(str(tmp_path)) for _ in range(2))
    assert [file.name for file in first + second] == ["image.jpg", "image.jpg", "image2.jpg"] + [
        *("image3.jpg", "image2.jpg", "image4.jpg"),
    ]
    assert read_image(second[-1]).shape == cut_out(noise(), ROWS[0, :4]).shape


def test_no_objects_no_files(tmp_path: Path) -> None:
    empty = Result(noise(), ROWS[:0], NAMES)
    assert empty.crop() == empty.save_crops(tmp_path / "none") == [] and not (tmp_path / "none").exists()
    with pytest.raises(DataError, match="a NoneType is not a path; name a folder"):
        empty.save_crops(None)
