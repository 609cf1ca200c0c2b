"""Folders of JPEG files: what is decoded beside the network, and smaller, comes out in order and as it would alone."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.data.renderers.photos import photo, save_jpeg, turned
from yolo.data.image_file import ImageFile
from yolo.data.images import read_image
from yolo.errors import DataError
from yolo.inference.detector import Detector
from yolo.inference.inputs import InputMaker

SIZES = ((300, 400), (48, 64), (200, 150), (64, 64), (600, 800), (64, 48), (90, 120), (400, 300))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight images, large and small, some of them turned, and between them two files that are none."""
    for number, size in enumerate(SIZES):
        exif = turned(number % 8 + 1)
        save_jpeg(tmp_path / f"{number}.jpg", photo(size, number), exif=exif, subsampling=number % 3)
    (tmp_path / "3b.jpg").write_bytes(b"no image")
    content = (tmp_path / "4.jpg").read_bytes()
    (tmp_path / "3c.jpg").write_bytes(content[: len(content) // 2])
    return tmp_path


def images(folder: Path) -> list[Path]:
    return [folder / f"{number}.jpg" for number in range(len(SIZES))]


def no_threads_are_left() -> bool:
    return not any(thread.name.startswith("ahead") for thread in threading.enumerate())


def test_a_folder_gives_what_its_images_give_alone(detector: Detector, folder: Path) -> None:
    expected = [detector(path) for path in images(folder)]
    assert all(len(one) for one in expected)
    streamed, listed = list(detector.stream(folder)), detector(images(folder))
    assert [frame.path for frame, _ in streamed] == [one.path for one in listed] == images(folder)
    for alone, (frame, result), one in zip(expected, streamed, listed):
        np.testing.assert_array_equal(result.rows, alone.rows)
        np.testing.assert_array_equal(one.rows, alone.rows)
        assert result.input_size == alone.input_size and result.size == alone.size
        for image in (alone.image, result.image, frame.image, one.image):
            np.testing.assert_array_equal(image, read_image(frame.path))
    smaller = [isinstance(one.original, ImageFile) for one in expected]
    assert smaller == [max(size) > 128 for size in SIZES]


def test_whole_images_give_what_an_exact_detector_sees(detector: Detector, folder: Path) -> None:
    exact = InputMaker(detector.imgsz, detector.stride, lambda _: None, exact=True)
    for frame, result in detector.stream(folder, whole=True):
        np.testing.assert_array_equal(result.original, read_image(frame.path))
        np.testing.assert_array_equal(result.rows, detector(read_image(frame.path)).rows)
        assert (exact.ready(frame.path).image == detector.network_input(result.image)).all()


def test_files_that_are_no_images_are_said_in_their_order(
    detector: Detector, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "yolo"):
        for frame, _ in detector.stream(folder):
            said = [record.getMessage() for record in caplog.records]
            assert len(said) == (0 if frame.path.name < "3b.jpg" else 2)
    assert [name in line for name, line in zip(("3b.jpg", "3c.jpg"), said)] == [True, True]
    with pytest.raises(DataError, match=r"3b\.jpg"):
        detector([*images(folder)[:3], folder / "3b.jpg", images(folder)[3]])
    assert no_threads_are_left()


@pytest.mark.parametrize("name", ["3b.jpg", "3c.jpg"])
def test_a_file_alone_is_an_image_or_refused(detector: Detector, folder: Path, name: str) -> None:
    (frame, result), *more = detector.stream(folder / "0.jpg")
    assert frame.path == result.path == folder / "0.jpg" and not more
    with pytest.raises(DataError, match=name):
        list(detector.stream(folder / name))


def test_a_folder_of_nothing_is_refused(detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no image and no video in the folder"):
        list(detector.stream(tmp_path))
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(DataError, match="none of 2 files can be read"):
        list(detector.stream(tmp_path))


def test_files_that_turn_out_to_be_no_images_when_they_are_decoded(
    detector: Detector, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = (folder / "0.jpg").read_bytes()
    paths = [tmp_path / name for name in ("x.jpg", "y.jpg")]
    for path in paths:
        path.write_bytes(content[:300] + bytes(len(content) - 302) + content[-2:])
    for source, message in ((paths[0], r"x\.jpg: the image cannot be decoded"), (paths, "none of 2 files can be read")):
        with pytest.raises(DataError, match=message):
            list(detector.stream(source))
    caplog.clear()
    found = list(detector.stream([paths[0], folder / "1.jpg", paths[1]]))
    assert [frame.path.name for frame, _ in found] == ["1.jpg"]
    assert [message.split(":")[0] for message in caplog.messages] == ["left out", "left out"]


@pytest.mark.parametrize("end", [GeneratorExit, KeyboardInterrupt])
def test_who_stops_in_the_middle_leaves_nothing_behind(
    detector: Detector, folder: Path, end: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, ready = [], InputMaker.letterboxed

    def noting(self: InputMaker, image: ImageFile, **options: bool):
        read.append(image)
        return ready(self, image, **options)

    for number in range(8, 40):
        save_jpeg(folder / f"{number}.jpg", photo((48, 64), number))
    monkeypatch.setattr(InputMaker, "letterboxed", noting)
    frames = detector.stream(folder)
    next(frames)
    if end is GeneratorExit:
        frames.close()
    else:
        with pytest.raises(end):
            frames.throw(end)
    assert no_threads_are_left() and len(read) < 20
    assert len(detector(images(folder))) == len(SIZES)


def test_a_result_outlives_its_file(detector: Detector, tmp_path: Path) -> None:
    path = save_jpeg(tmp_path / "a.jpg", photo((300, 400)), exif=turned(6))
    result, expected = detector(path), read_image(path)
    path.unlink()
    assert repr(result).startswith("Result(a.jpg 300x400: ") and result.size == (400, 300)
    assert len(result.label_lines().splitlines()) == len(result)
    np.testing.assert_array_equal(result.image, expected)
    assert result.plot().shape == (400, 300, 3)
