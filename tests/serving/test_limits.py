"""What is refused before anything is decoded."""

from __future__ import annotations

import struct
import zlib

import pytest

from tests.serving.client import flat_file, image_file
from yolo.serving.limits import Limits, Places, RefusedError

LIMITS = Limits(bytes=1000, pixels=100_000, queue=2, receive_seconds=1)


def refused(content: bytes) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        LIMITS.check_image(content)
    return caught.value.status, caught.value.why


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))


def png(*sizes: tuple[int, int]) -> bytes:
    """With as many headers; the sizes are (height, width)."""
    first, *others = (chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) for height, width in sizes)
    parts = (first, chunk(b"IDAT", zlib.compress(b"\0")), *others, chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_size_that_the_head_says_decides(kind: str) -> None:
    LIMITS.check_image(image_file(kind))
    LIMITS.check_image(flat_file(kind, (100, 1000)))
    status, why = refused(flat_file(kind, (1001, 100)))
    assert status == 413
    assert why == f"a {kind.lower()} image of 100 x 1001 pixels is larger than 0.1 megapixels (--max-megapixels)"


@pytest.mark.parametrize("sizes", [((2**31 - 1, 2**31 - 1),), ((30_000, 30_000), (10, 10))])
def test_a_bomb_is_refused_by_its_first_head(sizes: tuple[tuple[int, int], ...]) -> None:
    """Decoders go by the first and have taken the memory when they come to the second."""
    assert refused(png(*sizes))[0] == 413


def test_what_is_no_image_that_is_taken() -> None:
    assert refused(b"") == (422, "there is no image: the body, or the file in it, is empty")
    for content in (b"GIF89a", image_file("BMP"), image_file("TIFF"), b"<svg/>", b"\0" * 100):
        assert refused(content) == (415, "not an image in a format that is taken: JPEG, PNG, WebP")
    for content in (image_file("JPEG")[:4], image_file("PNG")[:16], image_file("WEBP")[:14]):
        status, why = refused(content)
        assert status in (415, 422) and why


def test_so_many_places_and_when_to_come_again() -> None:
    places = Places(2, lambda: 0.75)
    with places.place(), places.place():
        assert places.taken == 2
        with pytest.raises(RefusedError) as caught, places.place():
            pytest.fail("there was no place")
        assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "2"})
    assert places.taken == 0
    with pytest.raises(OSError), places.place():
        raise OSError
    assert places.taken == 0


@pytest.mark.parametrize("seconds, said", [(0, "1"), (1e-4, "1"), (1e9, "60")])
def test_who_is_refused_waits_a_second_to_a_minute(seconds: float, said: str) -> None:
    places = Places(1, lambda: seconds)
    with places.place(), pytest.raises(RefusedError) as caught, places.place():
        pass
    assert caught.value.headers == {"Retry-After": said}
