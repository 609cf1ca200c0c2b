"""Annotations and images that disagree about the size: swapped sides, other sizes."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from tests.data.convert.small import BOX, coco, converted, voc
from yolo.data.convert.frame import in_frame
from yolo.data.convert.records import Label, Labelled, Tally
from yolo.data.images import read_image

SWAPPED = "images whose annotations swap width and height"
TURNED = f"{SWAPPED}: boxes are turned with the image by its EXIF orientation"
AS_THEY_ARE = f"{SWAPPED}: boxes are taken as they are in the upright image"
FAR = [70, 20, 20, 25]
"""In an image of 100 x 50, not in one of 50 x 100."""


def jpeg(path: Path, orientation: int, box: list[int], size: tuple[int, int] = (50, 100)) -> Path:
    """Stored with height and width ``size``, black, ``box`` white."""
    pixels = np.zeros((*size, 3), np.uint8)
    x, y, width, height = box
    pixels[y : y + height, x : x + width] = 255
    exif = Image.Exif()
    if orientation > 1:
        exif[274] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, exif=exif, quality=95)
    return path


def box_of_white(path: Path) -> list[float]:
    """Centre and size of what is white upright, as shares of the image."""
    white = read_image(path)[..., 0] > 127
    rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    height, width = white.shape
    return [(left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height]


def numbers(line: str) -> list[float]:
    return [float(word) for word in line.split()[1:]]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("box", [BOX, FAR])
def test_boxes_in_the_stored_image_turn_with_it(tmp_path: Path, orientation: int, box: list[int]) -> None:
    path = jpeg(tmp_path / "in/0.jpg", orientation, box)
    x, y, width, height = box
    corners = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    coco(tmp_path / "in/a.json", ["0.jpg"], [{"bbox": box, "segmentation": corners}])
    for segments in (False, True):
        result = converted("coco", tmp_path / "in", segments=segments)
        assert result.done.noticed == {TURNED: 1} and TURNED + " (0.jpg)" in result.done.noticed.lines()[0]
        found = numbers(result.labels["a/0.jpg"][0])
        if segments:
            x, y = np.array(found[0::2]), np.array(found[1::2])
            found = [(x.min() + x.max()) / 2, (y.min() + y.max()) / 2, np.ptp(x), np.ptp(y)]
        np.testing.assert_allclose(found, box_of_white(path), atol=0.011)  # half a pixel of JPEG's


@pytest.mark.parametrize("orientation", [1, 6])
def test_boxes_that_fit_only_the_upright_image_stay(tmp_path: Path, orientation: int) -> None:
    stored = (50, 100) if orientation == 6 else (100, 50)  # upright 100 high and 50 wide in both
    jpeg(tmp_path / "in/0.jpg", orientation, BOX, stored)
    coco(tmp_path / "in/a.json", ["0.jpg"], [{"bbox": [20, 70, 25, 20]}])
    result = converted("coco", tmp_path / "in")
    assert result.labels == {"a/0.jpg": ["0 0.650000 0.800000 0.500000 0.200000"]}
    assert result.done.noticed == {AS_THEY_ARE: 1}


def test_swapped_without_a_turn_boxes_stay_where_they_can(tmp_path: Path) -> None:
    jpeg(tmp_path / "in/0.jpg", 1, BOX, (100, 50))
    jpeg(tmp_path / "in/1.jpg", 1, FAR, (100, 50))
    coco(tmp_path / "in/a.json", ["0.jpg", "1.jpg"], [{}, {"image_id": 1, "bbox": FAR}])
    result = converted("coco", tmp_path / "in")
    assert result.labels == {"a/0.jpg": ["0 0.400000 0.100000 0.400000 0.100000"]}
    assert result.done.noticed == {AS_THEY_ARE: 1}
    assert result.done.skipped == {"pictures whose width and height are swapped, and whose boxes fit only so": 1}


def test_no_turn_for_an_image_that_is_read_as_it_is_stored(tmp_path: Path) -> None:
    """As OpenCV reads some formats, whatever their EXIF orientation says."""
    path = jpeg(tmp_path / "0.jpg", 6, BOX)
    label = Label(0, (10.0, 5.0, 30.0, 15.0))
    noticed = Tally()
    item = Labelled(path, PurePosixPath("images/0.jpg"), "train", (label,), size=(100, 50))
    assert in_frame(item, (50, 100), noticed) == ((label,), (50, 100)) and noticed == {AS_THEY_ARE: 1}


def test_voc_files_swap_them_too(tmp_path: Path) -> None:
    path = jpeg(tmp_path / "in/0.jpg", 6, BOX)
    voc(tmp_path / "in/0.xml", "<size><width>100</width><height>50</height><depth>3</depth></size>")
    result = converted("voc", tmp_path / "in")
    assert result.done.noticed == {TURNED: 1}
    np.testing.assert_allclose(numbers(result.labels["train/0.jpg"][0]), box_of_white(path), atol=0.011)


def test_a_size_that_agrees_is_nothing_to_notice(tmp_path: Path) -> None:
    path = jpeg(tmp_path / "in/0.jpg", 6, BOX)
    coco(tmp_path / "in/a.json", [], [{}], images=[{"id": 0, "file_name": "0.jpg", "width": 50, "height": 100}])
    result = converted("coco", tmp_path / "in")
    assert result.labels == {"a/0.jpg": ["0 0.400000 0.100000 0.400000 0.100000"]} and not result.done.noticed
    assert box_of_white(path) != numbers(result.labels["a/0.jpg"][0])


def test_another_size_is_said(tmp_path: Path) -> None:
    """COCO's boxes are in the size that the file says: images may have been made smaller since. VOC's are pixels."""
    jpeg(tmp_path / "in/0.jpg", 1, BOX, (25, 50))
    coco(tmp_path / "in/a.json", ["0.jpg"])
    voc(tmp_path / "in/0.xml", "<size><width>100</width><height>50</height></size>")
    for kind, what, line in (
        ("coco", "scaled to it", "0.200000 0.200000 0.200000 0.200000"),
        ("voc", "taken as they are", "0.400000 0.400000 0.400000 0.400000"),
    ):
        result = converted(kind, tmp_path / "in")
        assert list(result.labels.values()) == [[f"0 {line}"]]
        assert result.done.noticed == {f"images of another size than their annotations say: boxes are {what}": 1}
