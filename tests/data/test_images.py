import io

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.data.samples import save_picture
from yolo.data.images import check_image, read_image, write_image
from yolo.errors import DataError


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".PNG"])
def test_pictures_survive_a_round_trip(tmp_path, picture, suffix):
    path = write_image(tmp_path / f"über bild{suffix}", picture)
    np.testing.assert_array_equal(read_image(path), picture)
    assert check_image(path) == (30, 50)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_keep_the_order_of_the_channels(tmp_path, suffix):
    path = write_image(tmp_path / f"x{suffix}", np.full((32, 32, 3), (200, 100, 20), np.uint8))
    assert abs(read_image(path).mean((0, 1)) - (200, 100, 20)).max() < 6
    assert check_image(path) == (32, 32)


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16", "P", "1", "LA"])
def test_other_modes_become_rgb(tmp_path, mode):
    pixels = np.tile(np.arange(50, dtype=np.uint16), (30, 1)) * (256 if mode == "I;16" else 1)
    image = Image.fromarray(pixels if mode == "I;16" else pixels.astype(np.uint8))
    path = tmp_path / "x.png"
    (image if mode == "I;16" else image.convert(mode)).save(path)
    read = read_image(path)
    assert read.shape == (30, 50, 3) and read.dtype == np.uint8 and read.flags.c_contiguous
    if mode in ("L", "RGBA", "I;16"):
        np.testing.assert_array_equal(read[0, :, 1], np.arange(50))


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
def test_the_shape_is_that_of_the_picture_as_read(tmp_path, picture, kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"x.{kind.lower()}"
    Image.fromarray(picture).save(path, kind, exif=exif)
    assert check_image(path) == read_image(path).shape[:2]
    if kind == "JPEG":
        assert check_image(path) == ((50, 30) if orientation >= 5 else (30, 50))


def test_broken_pictures_are_refused_with_their_path(tmp_path, picture):
    jpeg = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(jpeg, "JPEG")
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG")
    spoiled = bytearray(png.getvalue())
    spoiled[len(spoiled) // 2] ^= 255
    cases = {
        "empty.jpg": b"",
        "text.jpg": b"not a picture",
        "cut.jpg": jpeg.getvalue()[: len(jpeg.getvalue()) // 2],
        "head.jpg": jpeg.getvalue()[:30],
        "cut.png": png.getvalue()[:-40],
        "spoiled.png": bytes(spoiled),
    }
    for name, content in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match=name):
            check_image(path)
    (tmp_path / "folder.png").mkdir()
    for name in ("absent.png", "folder.png", "text.jpg", "empty.jpg"):
        with pytest.raises(DataError, match=name):
            read_image(tmp_path / name)
    with pytest.raises(DataError, match="too small"):
        check_image(save_picture(tmp_path / "small.png", (9, 40)))


@pytest.mark.parametrize("suffix", [".bmp", ".png", ".jpg", ".tif", ".webp"])
def test_what_is_cut_off_is_noticed_before_it_is_trained_on(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = write_image(tmp_path / f"a{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])
    with pytest.raises(DataError):
        check_image(path)


def test_a_jpeg_that_only_lacks_its_end_marker_is_kept(tmp_path, picture):
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "JPEG")
    path = tmp_path / "x.jpg"
    path.write_bytes(content.getvalue() + b"trailing bytes")
    assert check_image(path) == (30, 50)


def test_what_cannot_be_written_says_so(tmp_path, picture):
    with pytest.raises(DataError, match="xyz"):
        write_image(tmp_path / "x.xyz", picture)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="written"):
        write_image(tmp_path / "file" / "x.png", picture)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_jpegs_of_all_kinds_are_the_reference_decoders_upright_pixels(tmp_path, picture, mode, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "x.jpg"
    Image.fromarray(picture).convert(mode).save(path, exif=exif)
    bgr = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read_image(path), bgr[..., ::-1])
    assert read_image(path).shape[:2] == ((30, 50) if orientation == 1 else (50, 30)) == check_image(path)


def test_pictures_of_floats(tmp_path):
    path = tmp_path / "x.pfm"
    levels = np.full((20, 30, 3), (200, 100, 20), np.float32)
    assert cv2.imwrite(str(path), levels)
    bgr = cv2.imread(str(path))
    np.testing.assert_array_equal(read_image(path), bgr[..., ::-1])
