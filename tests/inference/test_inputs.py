"""What the network sees of an image: of large JPEG files a smaller decoding, in its place, of others all pixels."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.data.renderers.photos import photo, save_jpeg, turned
from yolo.data.image_file import ImageFile
from yolo.data.images import read_image, write_image
from yolo.data.letterbox import Size, fit, letterbox
from yolo.errors import ConfigError, DataError
from yolo.inference.inputs import InputMaker, Ready

IMGSZ = (64, 64)


def maker(imgsz: Size = IMGSZ, *, exact: bool = False) -> InputMaker:
    return InputMaker(imgsz, 8, lambda _: None, exact=exact)


def is_smaller(ready: Ready) -> bool:
    return isinstance(ready.original, ImageFile)


def plain(path: Path, imgsz: Size = IMGSZ) -> np.ndarray:
    image = read_image(path)
    return letterbox(image, fit(image.shape[:2], imgsz, auto=True, stride=8))


def slope(size: Size) -> np.ndarray:
    """Grey that is brighter to the right and, less so, below."""
    levels = np.linspace(0, 100, size[0])[:, None] + np.linspace(0, 150, size[1])
    return levels.round().astype(np.uint8)[..., None].repeat(3, 2)


@pytest.mark.parametrize("size", [(400, 600), (257, 513), (521, 265), (1033, 777)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_smaller_decoding_lies_where_the_image_does(tmp_path: Path, size: Size, orientation: int) -> None:
    """Also of sides that 8 does not divide, whose last pixels stand for more than there is."""
    path = save_jpeg(tmp_path / "a.jpg", slope(size), "L", exif=turned(orientation), quality=100)
    ready, expected = maker().ready(path), plain(path)
    assert is_smaller(ready) and ready.path == path and ready.box == maker(exact=True).ready(path).box
    assert ready.box.original == read_image(path).shape[:2]
    different = np.abs(ready.image.astype(int) - expected)
    assert different.max() <= 2 and different.mean() < 0.25


def test_what_is_seen_is_smoother_than_a_linear_resizing(tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(128, 40, (640, 640, 3)).clip(0, 255).astype(np.uint8)
    path = save_jpeg(tmp_path / "a.jpg", image, quality=100, subsampling=0)
    means = cv2.resize(read_image(path), IMGSZ, interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
    errors = [np.abs(maker(exact=exact).ready(path).image.astype(float) - means).mean() for exact in (False, True)]
    assert errors[0] < errors[1] / 2


@pytest.mark.parametrize("size", [(64, 64), (48, 100), (127, 96), (128, 96), (40, 128)])
def test_what_becomes_no_less_than_half_is_decoded_whole(tmp_path: Path, size: Size) -> None:
    path = save_jpeg(tmp_path / "a.jpg", photo(size))
    ready = maker().ready(path)
    assert not is_smaller(ready)
    np.testing.assert_array_equal(ready.image, plain(path))


def test_whoever_wants_all_pixels_gets_them(tmp_path: Path) -> None:
    path = save_jpeg(tmp_path / "a.jpg", photo((300, 400)))
    for ready in (maker().ready(path, whole=True), maker(exact=True).ready(path), maker().ready(read_image(path))):
        np.testing.assert_array_equal(ready.original, read_image(path))
        np.testing.assert_array_equal(ready.image, plain(path))
    assert (maker().ready(path).image != plain(path)).any()
    np.testing.assert_array_equal(maker().ready(str(path)).image, maker().ready(ImageFile(path)).image)


def test_what_libjpeg_leaves_to_others_is_decoded_by_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = photo((300, 400))
    paths = [save_jpeg(tmp_path / "cmyk.jpg", image, "CMYK"), write_image(tmp_path / "a.png", image)]
    trailing = save_jpeg(tmp_path / "trailing.jpg", image)
    trailing.write_bytes(trailing.read_bytes() + b"what follows the image")
    for path in paths:
        ready = maker().ready(path)
        assert not is_smaller(ready)
        np.testing.assert_array_equal(ready.image, plain(path))
    assert is_smaller(maker().ready(trailing))
    monkeypatch.setattr("yolo.inference.inputs.jpeg_library", lambda: "")
    np.testing.assert_array_equal(maker().ready(trailing).image, plain(trailing))


def test_what_is_no_image_is_refused_as_where_it_is_decoded_whole(tmp_path: Path) -> None:
    content = save_jpeg(tmp_path / "a.jpg", photo((300, 400))).read_bytes()
    broken = {"cut": content[: len(content) // 2], "empty": b"", "text": b"an image?" * 99, "gone": None}
    broken["damaged"] = content[:300] + bytes(len(content) - 302) + content[-2:]
    for name, some in broken.items():
        path = tmp_path / f"{name}.jpg"
        if some is not None:
            path.write_bytes(some)
        said = []
        for whole in (False, True):
            with pytest.raises(DataError, match=name) as caught:
                maker().ready(path, whole=whole)
            said.append(str(caught.value))
        assert said[0] == said[1]


def test_a_size_that_is_refused_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    def refuse(size: Size) -> None:
        raise ConfigError(f"no room for {size}")

    path = save_jpeg(tmp_path / "a.jpg", photo((300, 400)))
    with pytest.raises(ConfigError, match=r"no room for \(48, 64\)"):
        InputMaker(IMGSZ, 8, refuse).ready(path)


def test_threads_at_once_and_one_after_the_other_make_the_same(tmp_path: Path) -> None:
    sizes = [(300 + 7 * k, 700 - 31 * k) for k in range(12)]
    paths = [save_jpeg(tmp_path / f"{k}.jpg", photo(size, k)) for k, size in enumerate(sizes)]
    shared = maker()
    expected = [maker().ready(path).image for path in paths]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for found, ready in zip(expected, pool.map(shared.ready, paths)):
                np.testing.assert_array_equal(ready.image, found)


def test_an_image_file_is_read_once(tmp_path: Path) -> None:
    path = save_jpeg(tmp_path / "a.jpg", photo((300, 400)), exif=turned(6))
    expected, file = read_image(path), ImageFile(str(path))
    assert file.size == (400, 300) and file.path == path
    path.unlink()
    np.testing.assert_array_equal(file.pixels, expected)
    assert file.pixels is file.pixels
    Image.fromarray(expected).save(path.with_suffix(".tif"))
    assert ImageFile(path.with_suffix(".tif")).size == (400, 300)


def resident() -> float:
    """Megabytes of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_images_of_many_sizes_leave_no_memory_behind(tmp_path: Path) -> None:
    rng, shared = np.random.default_rng(0), maker()
    sizes = [tuple(rng.integers(200, 900, 2).tolist()) for _ in range(24)]
    paths = [save_jpeg(tmp_path / f"{k}.jpg", photo(size, k), exif=turned(k % 8 + 1)) for k, size in enumerate(sizes)]
    held = []
    for _ in range(4):
        for path in paths:
            assert is_smaller(shared.ready(path))
        held.append(resident())
    assert held[-1] - held[0] < 3, held  # an image of them has 0.1 to 2.4 MB
