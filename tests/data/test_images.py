import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from tests.data.samples import save_image
from yolo.data import images
from yolo.data.image_file import ImageFile
from yolo.data.images import check_image, read_image, write_image
from yolo.errors import DataError


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".PNG"])
def test_images_survive_a_round_trip(tmp_path, image, suffix):
    path = write_image(tmp_path / f"über bild{suffix}", image)
    np.testing.assert_array_equal(read_image(path), image)
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


def whole_pixels(path):
    """What detection reads."""
    return ImageFile(path).pixels


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_is_turned_by_its_exif(tmp_path, image, kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"x.{kind.lower()}"
    Image.fromarray(image).save(path, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    np.testing.assert_array_equal(read_image(path), upright)
    np.testing.assert_array_equal(whole_pixels(path), upright)
    assert ImageFile(path).size == upright.shape[:2]
    assert check_image(path) == upright.shape[:2] == ((50, 30) if orientation >= 5 else (30, 50))


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_and_exif_as_text_turn_nothing(tmp_path, image, kind):
    texts = PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
    texts.add_text("Raw profile type exif", "\nexif\n26\n" + (b"MM\0*\0\0\0\x08\0\x01" + TURNED + bytes(4)).hex())
    options = {"PNG": {"pnginfo": texts}, "TIFF": {"tiffinfo": {700: XMP}}}.get(kind, {"xmp": XMP})
    path = tmp_path / f"x.{kind.lower()}"
    Image.fromarray(image).save(path, kind, **options)
    assert Image.open(path).getexif()[274] == 6, "Pillow takes it"
    assert check_image(path) == read_image(path).shape[:2] == (30, 50)


TURNED = bytes.fromhex("0112 0003 00000001 0006 0000")


@pytest.mark.parametrize(
    ("exif", "shape"),
    [
        (b"MM\0*\0\0\0\x08\0\x01" + TURNED, (50, 30)),
        (b"MM\0*\0\0\0\x08\0\x01" + bytes.fromhex("0112 0004 00000001 00000006"), (50, 30)),
        (b"MM\0*\0\0\0\x08\0\x01" + bytes.fromhex("0112 0003 00000001 0009 0000"), (30, 50)),
        (b"MM\0*\0\0\0\x08\0\x01" + bytes.fromhex("0112 0002 00000001 0006 0000"), (30, 50)),
        (b"MM\0*\xff\xff\xff\xff", (30, 50)),
        (b"MM\0*\0\0\0\x08\xff\xff", (30, 50)),
        (b"MM\0+\0\x08\0\0" + b"\xff" * 8, (30, 50)),
        (b"neither order", (30, 50)),
        (b"", (30, 50)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_in_either_order_and_broken(tmp_path, image, kind, exif, shape):
    path = tmp_path / f"x.{kind.lower()}"
    Image.fromarray(image).save(path, kind, exif=b"Exif\0\0" + exif)
    assert check_image(path) == read_image(path).shape[:2] == shape


def test_the_smallest_forms_of_webp(tmp_path, image):
    """Without the extended header that Pillow writes with EXIF."""
    for lossless in (True, False):
        Image.fromarray(image).save(tmp_path / "x.webp", lossless=lossless)
        assert check_image(tmp_path / "x.webp") == read_image(tmp_path / "x.webp").shape[:2] == (30, 50)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".bmp"])
def test_there_is_one_limit_and_it_is_our_own(tmp_path, image, suffix, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow calls the double a bomb
    path = write_image(tmp_path / f"x{suffix}", image)
    assert check_image(path) == whole_pixels(path).shape[:2] == (30, 50)
    if suffix == ".jpg":
        path.write_bytes(path.read_bytes() + b"a trailer, which Pillow is asked about")
        assert check_image(path) == (30, 50)
    monkeypatch.setattr(images, "MAX_PIXELS", 1500)
    assert check_image(path) == (30, 50)
    monkeypatch.setattr(images, "MAX_PIXELS", 1499)
    said = set()
    for read in (check_image, read_image, whole_pixels):
        with pytest.raises(DataError, match=f"x{suffix}: an image of 50 x 30 pixels is too large, ") as caught:
            read(path)
        said.add(str(caught.value))
    assert len(said) == 1


def header_only_png(width, height):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


@pytest.mark.parametrize("size", [(32768, 32769), (2_000_000, 20), (20, 2_000_000)])
def test_the_largest_image(tmp_path, size, capfd):
    path = tmp_path / "x.png"
    path.write_bytes(header_only_png(*size))
    for read in (check_image, read_image, whole_pixels):
        with pytest.raises(DataError, match="too large, 1074 megapixels and 1000000 a side are the most"):
            read(path)
    path.write_bytes(header_only_png(32768, 32768))
    with pytest.raises(DataError, match="corrupt image"):
        check_image(path)
    assert capfd.readouterr().err == ""


def test_too_little_memory_is_no_broken_file(tmp_path, image, monkeypatch):
    def fail(*_):
        error = cv2.error("Insufficient memory")
        error.code = cv2.Error.StsNoMem
        raise error

    path = write_image(tmp_path / "x.png", image)
    monkeypatch.setattr(cv2, "imdecode", fail)
    with pytest.raises(DataError, match="not enough memory"):
        read_image(path)


def test_long_texts_spoil_no_png(tmp_path, image):
    texts = PngInfo()
    texts.add_text("workflow", "x" * 2_000_000, zip=True)
    path = tmp_path / "x.png"
    Image.fromarray(image).save(path, pnginfo=texts)
    assert check_image(path) == (30, 50)
    np.testing.assert_array_equal(whole_pixels(path), image)


@pytest.mark.parametrize("suffix", [".bmp", ".png", ".jpg", ".tif", ".webp"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.9])
def test_checking_and_detecting_call_a_broken_file_the_same(tmp_path, suffix, share, capfd):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = write_image(tmp_path / f"a{suffix}", noise)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    said = []
    for read in (check_image, whole_pixels):
        with pytest.raises(DataError) as caught:
            read(path)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_broken_images_are_refused_with_their_path(tmp_path, image):
    jpeg = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(jpeg, "JPEG")
    png = io.BytesIO()
    Image.fromarray(image).save(png, "PNG")
    spoiled = bytearray(png.getvalue())
    spoiled[len(spoiled) // 2] ^= 255
    cases = {
        "empty.jpg": b"",
        "text.jpg": b"not an image",
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
        check_image(save_image(tmp_path / "small.png", (9, 40)))


@pytest.mark.parametrize("suffix", [".bmp", ".png", ".jpg", ".tif", ".webp"])
def test_what_is_cut_off_is_noticed_before_it_is_trained_on(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = write_image(tmp_path / f"a{suffix}", noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])
    with pytest.raises(DataError):
        check_image(path)


def test_a_jpeg_that_only_lacks_its_end_marker_is_kept(tmp_path, image):
    content = io.BytesIO()
    Image.fromarray(image).save(content, "JPEG")
    path = tmp_path / "x.jpg"
    path.write_bytes(content.getvalue() + b"trailing bytes")
    assert check_image(path) == (30, 50)


def test_what_cannot_be_written_says_so(tmp_path, image):
    with pytest.raises(DataError, match="xyz"):
        write_image(tmp_path / "x.xyz", image)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="written"):
        write_image(tmp_path / "file" / "x.png", image)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_jpegs_of_all_kinds_are_the_reference_decoders_upright_pixels(tmp_path, image, mode, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "x.jpg"
    Image.fromarray(image).convert(mode).save(path, exif=exif)
    bgr = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read_image(path), bgr[..., ::-1])
    assert read_image(path).shape[:2] == ((30, 50) if orientation == 1 else (50, 30)) == check_image(path)


def test_images_of_floats(tmp_path):
    path = tmp_path / "x.pfm"
    levels = np.full((20, 30, 3), (200, 100, 20), np.float32)
    assert cv2.imwrite(str(path), levels)
    bgr = cv2.imread(str(path))
    np.testing.assert_array_equal(read_image(path), bgr[..., ::-1])
