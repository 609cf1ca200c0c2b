"""What the head of an image file says: its format, its size as it is stored, and how EXIF turns it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
_EXIF_BEGIN = b"Exif\0\0"
_SIZED = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # a JPEG's frame headers; the three are tables
_BARE = frozenset((0x01, *range(0xD0, 0xD9)))  # a JPEG's markers without a length
_END_OF_HEAD = (0xD9, 0xDA)
_ORIENTATION, _WIDTH, _HEIGHT = 274, 256, 257
_FAR = 2**40  # behind the end of every file, and no file system refuses to seek there
_VALUES = {1: "B", 3: "H", 4: "I"}  # whole numbers by their TIFF type


@dataclass(frozen=True)
class Header:
    """``height`` and ``width`` are in pixels as the image is stored, 0 where the head does not say them."""

    kind: str = ""
    """"jpeg", "png", "webp", "tiff", "bmp"; "" is another format, or none."""
    height: int = 0
    width: int = 0
    orientation: int = 1
    """EXIF's, 1 to 8; 1 where there is none, or none that can be read."""
    orientation_at: tuple[int, str] | None = None
    """Of a TIFF, the place in the file and the ``struct`` format of the orientation."""
    bits: int = 0
    """Of a JPEG: for each channel."""
    channels: int = 0
    """Of a JPEG."""

    @property
    def upright(self) -> tuple[int, int]:
        """``(height, width)`` of the image turned by its orientation."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)


def read_header(stream: BinaryIO) -> Header:
    """The header of the image in ``stream``, by its content. Never raises for what a file holds; OSError passes."""
    stream.seek(0)
    begin = stream.read(12)
    try:
        if begin[:3] == b"\xff\xd8\xff":
            return _jpeg(stream)
        if begin[:8] == _PNG_BEGIN:
            return _png(stream)
        if begin[:4] == b"RIFF" and begin[8:] == b"WEBP":
            return _webp(stream)
        if begin[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _tiff(stream)
        if begin[:2] == b"BM":
            return _bmp(stream)
    except struct.error:  # it ends within its head, which the decoder will notice
        pass
    return Header()


def _unpack(stream: BinaryIO, layout: str) -> tuple:
    return struct.unpack(layout, stream.read(struct.calcsize(layout)))


def _jpeg(stream: BinaryIO) -> Header:
    height = width = bits = channels = 0
    orientation = None
    stream.seek(2)
    while True:
        lead, marker = _unpack(stream, "BB")
        while marker == 0xFF:  # padding
            (marker,) = _unpack(stream, "B")
        if lead != 0xFF or marker in _END_OF_HEAD:
            return Header("jpeg", height, width, orientation or 1, bits=bits, channels=channels)
        if marker in _BARE:
            continue
        (length,) = _unpack(stream, ">H")
        behind = stream.tell() + length - 2
        if marker in _SIZED:
            bits, height, width, channels = _unpack(stream, ">BHHB")
        elif marker == 0xE1 and orientation is None and stream.read(len(_EXIF_BEGIN)) == _EXIF_BEGIN:
            orientation = _exif(stream, stream.tell())
        stream.seek(behind)


def _png(stream: BinaryIO) -> Header:
    height = width = 0
    orientation = 1
    for kind, _ in png_chunks(stream):
        if kind == b"IHDR" and not height:  # decoders go by the first
            width, height = _unpack(stream, ">II")
        elif kind == b"eXIf":
            orientation = _bare_exif(stream)
    return Header("png", height, width, orientation)


def png_chunks(stream: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """``(type, length)`` of each chunk of a PNG to its end, the stream being at the chunk's data."""
    place = len(_PNG_BEGIN)
    kind = b""
    while kind != b"IEND":
        stream.seek(place)
        head = stream.read(8)
        if len(head) < 8:
            return
        length, kind = struct.unpack(">I4s", head)
        yield kind, length
        place += 12 + length


def _webp(stream: BinaryIO) -> Header:
    height = width = 0
    orientation, place = 1, 12
    while True:
        stream.seek(place)
        head = stream.read(8)
        if len(head) < 8:
            return Header("webp", height, width, orientation)
        kind, length = struct.unpack("<4sI", head)
        if kind == b"EXIF":
            orientation = _bare_exif(stream)
        elif not height:
            height, width = _webp_size(stream, kind)
        place += 8 + length + length % 2


def _webp_size(stream: BinaryIO, kind: bytes) -> tuple[int, int]:
    """From the chunk that says it: the canvas of an extended file, or the image of a plain one."""
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = _unpack(stream, "<4xHBHB")
        return (high_height << 16 | low_height) + 1, (high_width << 16 | low_width) + 1
    if kind == b"VP8L":
        (bits,) = _unpack(stream, "<xI")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = _unpack(stream, "<6xHH")
        return height & 0x3FFF, width & 0x3FFF
    return 0, 0


def _bmp(stream: BinaryIO) -> Header:
    stream.seek(14)
    (length,) = _unpack(stream, "<I")
    width, height = _unpack(stream, "<HH" if length == 12 else "<ii")
    return Header("bmp", abs(height), abs(width))


def _tiff(stream: BinaryIO) -> Header:
    tags = _tags(stream, 0)
    height, width = (tags[tag][0] if tag in tags else 0 for tag in (_HEIGHT, _WIDTH))
    value, *place = tags.get(_ORIENTATION, (1,))
    return Header("tiff", height, width, value, tuple(place)) if 2 <= value <= 8 else Header("tiff", height, width)


def _bare_exif(stream: BinaryIO) -> int:
    """The orientation in a chunk, which some programs begin as JPEG's."""
    place = stream.tell()
    return _exif(stream, place + (len(_EXIF_BEGIN) if stream.read(len(_EXIF_BEGIN)) == _EXIF_BEGIN else 0))


def _exif(stream: BinaryIO, place: int) -> int:
    """The orientation in an EXIF block, which is a small TIFF; 1 for one that is broken."""
    try:
        value = _tags(stream, place).get(_ORIENTATION, (1,))[0]
    except struct.error:
        return 1
    return value if 1 <= value <= 8 else 1


def _tags(stream: BinaryIO, base: int) -> dict[int, tuple[int, int, str]]:
    """The whole numbers among the tags of the first image of a TIFF at ``base``: value, place in the stream, format."""
    stream.seek(base)
    begin = stream.read(4)
    order = {b"II": "<", b"MM": ">"}.get(begin[:2])
    if order is None:
        return {}
    big = 43 in begin[2:]
    if big:
        stream.seek(base + 8)
    (start,) = _unpack(stream, order + ("Q" if big else "I"))
    stream.seek(base + min(start, _FAR))
    (count,) = _unpack(stream, order + ("Q" if big else "H"))
    length, at = (20, 12) if big else (12, 8)
    entries = stream.read(length * min(count, 0xFFFF))
    found: dict[int, tuple[int, int, str]] = {}
    for k in range(0, len(entries) - length + 1, length):
        tag, kind = struct.unpack_from(order + "HH", entries, k)
        if tag in (_ORIENTATION, _WIDTH, _HEIGHT) and kind in _VALUES and tag not in found:
            layout = order + _VALUES[kind]
            (value,) = struct.unpack_from(layout, entries, k + at)
            found[tag] = value, base + start + (8 if big else 2) + k + at, layout
    return found
