"""What users give as images: arrays, bytes, streams, URLs, Pillow's; one image in all of these is the same image."""

from __future__ import annotations

import io
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.data.renderers.photos import photo, save_jpeg, turned
from tests.inference.samples import SIZE, make_image, noise
from tests.web import serve
from yolo.data.image_file import ImageFile
from yolo.data.images import read_image
from yolo.errors import DataError, DownloadError
from yolo.inference import originals
from yolo.inference.detector import Detector
from yolo.inference.originals import Originals

RGB = noise()
GREY = cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)


def pixels(image: object, channels: str = "rgb") -> np.ndarray:
    original = Originals(channels).of(image)
    return original.pixels if isinstance(original, ImageFile) else original


def with_alpha(image: np.ndarray) -> np.ndarray:
    return np.dstack([image, np.arange(image.shape[0] * image.shape[1]).reshape(image.shape[:2]) % 256]).astype("u1")


@pytest.mark.parametrize(
    ("array", "channels"),
    [
        (RGB, "rgb"),
        (RGB[..., ::-1], "bgr"),
        (with_alpha(RGB), "rgb"),
        (with_alpha(RGB[..., ::-1]), "bgr"),
        (RGB.transpose(2, 0, 1), "rgb"),
        (RGB[..., ::-1].transpose(2, 0, 1), "bgr"),
        (np.asfortranarray(RGB), "rgb"),
        (np.repeat(RGB, 2, axis=1)[:, ::2], "rgb"),
    ],
)
def test_arrays_of_one_image(array: np.ndarray, channels: str) -> None:
    found = pixels(array, channels)
    assert found.flags.c_contiguous and found.dtype == np.uint8
    np.testing.assert_array_equal(found, RGB)


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize("grey", [GREY, GREY[..., None], GREY[None]])
def test_grey_arrays(grey: np.ndarray, channels: str) -> None:
    np.testing.assert_array_equal(pixels(grey, channels), GREY[..., None].repeat(3, 2))


def test_a_narrow_image_is_not_taken_for_channels_first() -> None:
    for shape in ((3, 50, 3), (1, 9, 3), (4, 4, 4), (3, 1, 1)):
        array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
        np.testing.assert_array_equal(pixels(array), array[..., :3] if shape[2] > 1 else array.repeat(3, 2))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_bytes_and_streams_are_files(tmp_path: Path, suffix: str) -> None:
    path = make_image(tmp_path / f"a{suffix}")
    expected, content = read_image(path), path.read_bytes()
    spent = io.BytesIO(content)
    spent.read()
    with open(path, "rb") as file:
        for given in (content, bytearray(content), memoryview(content), io.BytesIO(content), spent, file):
            np.testing.assert_array_equal(pixels(given, "bgr"), expected)
        assert Originals().of(file).path == path and Originals().of(content).path is None


def test_bytes_that_change_later_are_not_looked_at_again(tmp_path: Path) -> None:
    content = bytearray(make_image(tmp_path / "a.png").read_bytes())
    file = Originals().of(content)
    content[:] = bytes(len(content))
    np.testing.assert_array_equal(file.pixels, RGB)


class Text:
    def read(self) -> str:
        return "text"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "the bytes given: the image cannot be decoded"),
        ("", "an empty path is not an image; give a path, a URL"),
        (io.BytesIO(b"no image"), "the bytes given: the image cannot be decoded"),
        (Text(), "a Text gives a str, not bytes; open it with 'rb'"),
        (object(), "a object is not an image; give a path, a URL"),
        (Image.new("F", (9, 9)), "its mode is F"),
        (Image.fromarray(np.full((9, 9), 70_000, np.int32)), "its pixels are no 16-bit numbers"),
    ],
)
def test_what_is_no_image(image: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        pixels(image)
    assert "\n" not in str(caught.value)


def test_a_stream_that_is_closed() -> None:
    closed = io.BytesIO(b"")
    closed.close()
    with pytest.raises(DataError, match="cannot be read"):
        pixels(closed)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr", "HSV", "RGBX"])
def test_pillow_s_modes(mode: str) -> None:
    image = Image.fromarray(RGB)
    image = image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)
    found = pixels(image, "bgr")
    assert found.dtype == np.uint8 and found.flags.writeable
    np.testing.assert_array_equal(found, np.asarray(image.convert("RGB")))
    if mode in ("RGB", "RGBA", "CMYK", "RGBX"):
        np.testing.assert_array_equal(found, RGB)


@pytest.mark.parametrize("kind", [np.uint16, np.dtype(">u2"), np.int32])
def test_sixteen_bits_become_eight_as_in_files(kind: type, tmp_path: Path) -> None:
    deep = (GREY.astype(np.uint16) * 256 + 99).astype(kind)
    found = pixels(Image.fromarray(deep))
    np.testing.assert_array_equal(found, GREY[..., None].repeat(3, 2))
    cv2.imwrite(str(tmp_path / "a.png"), deep.astype(np.uint16))
    np.testing.assert_array_equal(found, read_image(tmp_path / "a.png"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pillow_images_are_upright(tmp_path: Path, orientation: int) -> None:
    path = save_jpeg(tmp_path / "a.jpg", photo((40, 60)), exif=turned(orientation))
    with Image.open(path) as image:
        np.testing.assert_array_equal(pixels(image), read_image(path))


def test_a_pillow_image_that_is_cut_off(tmp_path: Path) -> None:
    content = save_jpeg(tmp_path / "a.jpg", photo((300, 400))).read_bytes()
    with pytest.raises(DataError, match="the Pillow image cannot be used"):
        pixels(Image.open(io.BytesIO(content[:2000])))


def test_one_pillow_image_many_times(tmp_path: Path, detector: Detector) -> None:
    path = save_jpeg(tmp_path / "a.jpg", photo((300, 400)))
    expected = detector(read_image(path)).rows
    assert all(np.array_equal(found.rows, expected) for found in detector([Image.open(path)] * 12))


def test_urls(tmp_path: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_image(tmp_path / "a b.png")
    with serve() as web:
        web.files |= {"/x/a%20b.png?size=1": path.read_bytes(), "/text.jpg": b"no image"}
        url = f"{web.address}/x/a%20b.png?size=1"
        found = detector(url)
        assert found.path == Path("a b.png") and np.array_equal(found.rows, detector(path).rows)
        assert [one.path.name for one in detector([url, path])] == ["a b.png"] * 2
        for given, names in (([url, RGB, path], ["a b.png", "image2.jpg", "a b.png"]), ([url, path], ["a b.png"] * 2)):
            assert [frame.path.name for frame, _ in detector.stream(given)] == names
        with pytest.raises(DataError, match=r"text\.jpg: the image cannot be decoded"):
            detector(f"{web.address}/text.jpg")
        with pytest.raises(DownloadError, match="404"):
            detector(f"{web.address}/none.jpg")
        monkeypatch.setattr(originals, "MOST_FETCHED", 99)
        for length in (True, False):
            web.length = length
            with pytest.raises(DownloadError, match=r"is larger than 0\.0 MB"):
                detector(url)
    with pytest.raises(DownloadError, match="cannot be fetched"):
        detector(url)


def test_a_list_of_all_kinds(detector: Detector, tmp_path: Path) -> None:
    path = make_image(tmp_path / "a.png")
    kinds = [path, str(path), RGB, path.read_bytes(), io.BytesIO(path.read_bytes()), Image.fromarray(RGB)]
    expected = detector(RGB).rows
    for results in (detector(kinds), list(detector(iter(kinds))), [result for _, result in detector.stream(kinds)]):
        assert len(results) == len(kinds) and all(np.array_equal(found.rows, expected) for found in results)
        np.testing.assert_array_equal(results[3].image, RGB)
    names = [frame.path.name for frame, _ in detector.stream(kinds)]
    assert names == ["a.png", "a.png", "image3.jpg", "image4.jpg", "image5.jpg", "image6.jpg"]


def test_channels_are_said_once(weights: Path, detector: Detector, tmp_path: Path) -> None:
    """They are of arrays alone, and results hold RGB."""
    bgr = Detector(weights, device="cpu", imgsz=64, conf=0.001, max_det=20, channels="bgr")
    expected, path = detector(RGB).rows, make_image(tmp_path / "a.png")
    flipped = np.ascontiguousarray(RGB[..., ::-1])
    assert not np.array_equal(detector(flipped).rows, expected)
    for given in (flipped, path, path.read_bytes(), Image.fromarray(RGB)):
        for found in (bgr(given), next(iter(bgr.stream(given)))[1]):
            np.testing.assert_array_equal(found.rows, expected)
            np.testing.assert_array_equal(found.image, RGB)


def endless(taken: list[int]) -> Iterator[np.ndarray]:
    try:
        for number in itertools.count():
            taken.append(number)
            yield noise(seed=number % 3)
    finally:
        taken.append(-1)


@pytest.mark.parametrize("look", [lambda detector, images: detector(images), lambda *both: Detector.stream(*both)])
def test_a_generator_is_not_collected(detector: Detector, look: Callable) -> None:
    taken: list[int] = []
    images = endless(taken)
    results = look(detector, images)
    assert not taken
    first = [next(results) for _ in range(3)]
    rows = [one.rows if hasattr(one, "rows") else one[1].rows for one in first]
    assert all(np.array_equal(found, detector(noise(seed=seed)).rows) for seed, found in enumerate(rows))
    results.close()
    assert len(taken) < 3 + 30 and not [one.name for one in threading.enumerate() if one.name.startswith("ahead")]
    images.close()
    assert taken[-1] == -1


def test_what_a_generator_raises_comes_out_at_its_place(detector: Detector) -> None:
    def images() -> Iterator[np.ndarray]:
        yield RGB
        raise ZeroDivisionError

    results = detector(images())
    assert next(results).size == SIZE
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_bytes_of_photographs_are_decoded_smaller_too(detector: Detector, tmp_path: Path) -> None:
    path = save_jpeg(tmp_path / "a.jpg", photo((300, 400)), exif=turned(6))
    found = detector(path.read_bytes())
    assert isinstance(found.original, ImageFile) and found.path is None and found.size == (400, 300)
    np.testing.assert_array_equal(found.rows, detector(path).rows)
    np.testing.assert_array_equal(found.image, read_image(path))
