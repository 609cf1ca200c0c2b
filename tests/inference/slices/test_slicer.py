"""Images of any size looked at in slices: through what finds coloured rectangles, and through detectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.inference.samples import make_weights, noise
from yolo.data.images import write_image
from yolo.errors import ConfigError
from yolo.inference.detector import Detector
from yolo.inference.runner import Detections
from yolo.inference.slices.merge import merge
from yolo.inference.slices.slicer import Slicer, each_window
from yolo.inference.slices.windows import Slicing
from yolo.program.detection import NmsSettings

SETTINGS = NmsSettings(max_det=5)
NONE = np.zeros((0, 6), np.float32)


def find_colours(images: np.ndarray) -> Detections:
    """A box around all pixels of each of the colours 200, 210, 220, … in uint8 ``[B, 3, H, W]``."""
    rows, counts = np.zeros((len(images), 6, 6), np.float32), np.zeros(len(images), np.int32)
    for image, found, number in zip(images, rows, range(len(images))):
        for level in range(200, 256, 10):
            y, x = np.nonzero(image[0] == level)
            if len(x):
                box = (x.min(), y.min(), x.max() + 1, y.max() + 1)
                found[counts[number]] = (*box, level / 255, 0)
                counts[number] += 1
    return Detections(rows, counts, 0.25, 0.125)


def slicer(run: Callable[[np.ndarray], Detections] = find_colours, **options: Any) -> Slicer:
    return Slicer(Slicing(64, 0.25), (64, 64), 32, SETTINGS, run, **options)


def drawn(size: tuple[int, int], boxes: list[tuple[int, int, int, int]]) -> np.ndarray:
    """Black, with a rectangle of a colour of its own for each of ``boxes``."""
    image = np.zeros((*size, 3), np.uint8)
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        image[y1:y2, x1:x2] = 200 + 10 * number
    return image


@pytest.mark.parametrize("size", [(64, 250), (250, 64), (200, 200), (129, 131)])
def test_rectangles_come_out_where_they_are(size: tuple[int, int]) -> None:
    """On seams and on corners, and larger than a slice: each once, in pixels of the image."""
    height, width = size
    boxes = [(2, 2, 9, 12), (20, 20, width - 3, 60), (1, 30, 15, height - 1), (width - 20, 2, width - 1, 15)]
    image = drawn(size, boxes)
    (found,), seconds = slicer().refine([image], [NONE])
    assert sorted(found[:, :4].tolist()) == sorted(map(list, boxes))
    assert seconds["inference"] >= 0.25 and seconds["nms"] > seconds["inference"] / 2 and seconds["preprocess"] > 0


def test_small_slices_are_enlarged_for_the_network() -> None:
    """Slices of 32 pixels at an image size of 64: a box is found at twice its size, and given at its own."""
    image = drawn((60, 90), [(10, 10, 20, 20), (40, 20, 70, 40)])
    sizes = []

    def run(images: np.ndarray) -> Detections:
        sizes.append(images.shape[2:])
        return find_colours(images)

    (found,), _ = Slicer(Slicing(32, 0.5), (64, 64), 32, SETTINGS, run).refine([image], [NONE])
    assert set(sizes) == {(64, 64)}
    assert np.abs(np.sort(found[:, :4], 0) - [[10, 10, 20, 20], [40, 20, 70, 40]]).max() <= 1


def test_an_image_no_larger_than_a_slice_is_not_looked_at_again() -> None:
    def run(_: np.ndarray) -> Detections:
        raise AssertionError("looked at")

    whole = np.arange(60, dtype=np.float32).reshape(10, 6)
    (found,), seconds = slicer(run).refine([drawn((64, 50), [])], [whole])
    np.testing.assert_array_equal(found, whole[:5])
    assert set(seconds.values()) == {0.0}


def test_all_windows_go_through_in_batches_of_few_sizes() -> None:
    batches = []

    def run(images: np.ndarray) -> Detections:
        batches.append(images.shape)
        return find_colours(images)

    for width, expected in [(64 + 48 * 6, [4, 2, 1]), (64 + 48 * 22, [16, 4, 2, 1])]:
        batches.clear()
        slicer(run).refine([drawn((64, width), [])], [NONE])
        assert batches == [(count, 3, 64, 64) for count in expected]
    batches.clear()
    few = slicer(run, pixels_at_once=2 * 64 * 64)
    few.refine([drawn((64, 64 + 48 * 4), [])], [NONE])
    assert [shape[0] for shape in batches] == [2, 2, 1] and few.largest_input() == (2, 3, 64, 64)


def test_an_image_keeps_its_best_and_each_window_more() -> None:
    boxes = [(20 + 60 * k, 5, 50 + 60 * k, 30) for k in range(6)]
    (found,), _ = slicer().refine([drawn((64, 400), boxes)], [NONE])
    assert [round(row[4] * 255) for row in found] == [250, 240, 230, 220, 210]
    assert each_window(SETTINGS).max_det == 300 and each_window(NmsSettings(max_det=1000)).max_det == 1000


def by_hand(detector: Detector, image: np.ndarray, slicing: Slicing, most: int) -> np.ndarray:
    """The slices' detections by a detector without slices."""
    windows = slicing.windows(image.shape[:2])
    parts = []
    for left, top, right, bottom in windows.tolist():
        rows = detector(image[top:bottom, left:right].copy()).rows.copy()
        rows[:, :4] += (left, top, left, top)
        parts.append(rows)
    return merge(detector(image).rows, parts, windows, iou=detector.iou, agnostic=detector.agnostic)[:most]


@pytest.mark.parametrize(
    "options",
    [{}, {"augment": True}, {"exact": True, "agnostic": True}, {"classes": 1}, {"iou": 0.2}, {"compile": "off"}],
    ids=str,
)
def test_a_detector_with_slices_merges_what_one_without_finds(weights: Path, options: dict[str, Any]) -> None:
    image = noise((90, 150), seed=3)
    given = {"device": "cpu", "imgsz": 64, "conf": 0.001, **options}
    plain = Detector(weights, max_det=300, **given)
    expected = by_hand(plain, image, Slicing(64, 0.25), 7)
    found = Detector(weights, max_det=7, slice=64, overlap=0.25, **given)(image)
    assert len(found) == 7
    np.testing.assert_allclose(found.rows, expected, rtol=1e-4, atol=1e-3)


def test_ensembles_lists_and_files_go_through_in_slices(weights: Path, tmp_path: Path) -> None:
    both = [weights, make_weights(tmp_path / "other.safetensors", seed=1)]
    images = [noise((90, 150)), noise((48, 64)), noise((70, 64), seed=2), noise((90, 150), seed=1)]
    given = {"device": "cpu", "imgsz": 64, "conf": 0.001}
    plain = Detector(both, max_det=300, **given)
    detector = Detector(both, max_det=9, slice=64, overlap=0.25, **given)
    paths = [write_image(tmp_path / f"{number}.png", image) for number, image in enumerate(images)]
    for image, path, found in zip(images, paths, detector(list(map(str, paths)))):
        assert found.path == path and set(found.speed_ms) == {"preprocess", "inference", "nms"}
        np.testing.assert_allclose(found.rows, by_hand(plain, image, Slicing(64, 0.25), 9), rtol=1e-4, atol=1e-3)
    (_, streamed), *_ = detector.stream(paths[0])
    np.testing.assert_array_equal(streamed.rows, detector(paths[0]).rows)


@pytest.mark.parametrize("size", [(1, 200), (200, 1), (1, 1)])
def test_images_a_pixel_high_or_wide(weights: Path, size: tuple[int, int]) -> None:
    detector = Detector(weights, device="cpu", imgsz=64, conf=0.001, max_det=3, slice=64, overlap=0)
    rows = detector(np.zeros((*size, 3), np.uint8)).rows
    assert ((rows[:, :4] >= 0) & (rows[:, :4] <= size[::-1] * 2)).all()


def test_slices_smaller_than_the_stride_are_refused(weights: Path) -> None:
    with pytest.raises(ConfigError, match=r"^slice: is 5; give at least the network's stride, \d+$"):
        Detector(weights, device="cpu", imgsz=64, slice=5)


def test_jpeg_files_are_decoded_whole_for_slices(weights: Path, tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.jpg", noise((400, 600)))
    result = Detector(weights, device="cpu", imgsz=64, slice=320)(path)
    assert isinstance(result.original, np.ndarray)
