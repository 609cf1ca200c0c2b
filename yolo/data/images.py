"""Images in and out of files: RGB in memory, whatever the file holds."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo.data.image_header import Header, png_chunks, read_header
from yolo.errors import DataError
from yolo.io.files import require_file, write_atomic

SUFFIXES = frozenset(
    {".bmp", ".dng", ".jpeg", ".jpg", ".mpo", ".pfm", ".png", ".tif", ".tiff", ".webp"},
)
"""File name endings (lower case) that count as images."""

MIN_SIDE = 10
"""Images with a shorter side (pixels) are not usable."""

MAX_PIXELS, MAX_SIDE = 2**30, 1_000_000
"""The largest image: 3 GiB as RGB, and what the decoders take. Every command refuses a larger one."""

_JPEG_END = b"\xff\xd9"
_FLAGS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_REDUCED = {1: 0, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
_HINT = "replace or remove the file"


def is_image_name(path: str) -> bool:
    """Whether a file's name ends like that of an image."""
    return f".{path.rpartition('.')[2].lower()}" in SUFFIXES


def limit_opencv_threads() -> None:
    """Make OpenCV single-threaded for the whole process.

    The loader's workers are the parallelism; OpenCV's own threads under them only get in each other's way.
    """
    cv2.setNumThreads(0)


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """The image at ``path``: RGB, uint8 ``[H, W, 3]``, upright.

    Upright is by EXIF's orientation alone, in the four formats that have one (JPEG, PNG, WebP, TIFF); what XMP or a
    text says of it is not looked at. ``check_image`` gives the size by the same rule. Grey images get three equal
    channels, alpha is dropped, 16 bits become 8. Raises DataError when the file cannot be read or decoded, or has more
    than MAX_PIXELS.
    """
    return decode_image(read_bytes(path), path)


def read_bytes(path: str | Path) -> NDArray[np.uint8]:
    """The file's bytes, ``[n]``; raises DataError when it cannot be read."""
    try:
        require_file(path)
        return np.fromfile(path, np.uint8)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        why = getattr(error, "strerror", None) or error
        raise DataError(f"the image cannot be read ({why})", where=path) from error


def decode_image(content: NDArray[np.uint8], where: object, least: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """The image in a file's bytes ``[n]``, as ``read_image`` gives it; ``where`` names it in the DataError.

    With ``least`` (height, width) a JPEG is decoded at a half, a quarter or an eighth of its size where that is no
    smaller: sooner, and without the aliasing of a linear resizing.
    """
    header = read_header(io.BytesIO(memoryview(content)))
    _refuse_too_large(header, where)
    flags = _FLAGS | (_REDUCED[divisor(header.upright, least)] if least and header.kind == "jpeg" else 0)
    # OpenCV's rules for turning differ by format and version: it is given no say, and a TIFF no orientation.
    if header.orientation_at:
        place, layout = header.orientation_at
        content = content.copy()
        struct.pack_into(layout, content, place, 1)
    # imread cannot open every path on every system; a buffer is the same to it everywhere.
    try:
        rgb = cv2.imdecode(content, flags) if content.size else None
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise DataError("there is not enough memory to decode the image", where=where) from error
        rgb = None
    if rgb is None:
        raise DataError("the image cannot be decoded", where=where, hint=_HINT)
    return turned(rgb, header.orientation)


def divisor(size: tuple[int, int], least: tuple[int, int]) -> int:
    """The largest of 1, 2, 4 and 8 that divides ``size`` (rounded up) into no less than ``least``."""
    return next((by for by in (8, 4, 2) if all(-(-side // by) >= end for side, end in zip(size, least))), 1)


def turned(rgb: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """As EXIF's ``orientation`` (1 to 8) says: 5 to 8 swap the sides."""
    if orientation >= 5:
        rgb = cv2.transpose(rgb)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return rgb if flip is None else cv2.flip(rgb, flip)


def load_image(path: str | Path, size: tuple[int, int], *, augmented: bool) -> NDArray[np.uint8]:
    """The image at ``path`` resized to ``size`` (height, width), as ``read_image`` gives it.

    By area where one that is not to be augmented shrinks, else linear (YOLOv5); a JPEG to be augmented that becomes
    half as large or less is decoded smaller first (``decode_image``). Raises DataError as ``read_image``.
    """
    image = decode_image(read_bytes(path), path, size if augmented else None)
    if image.shape[:2] == size:
        return image
    shrinks = size[0] < image.shape[0] or size[1] < image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks and not augmented else cv2.INTER_LINEAR
    return cv2.resize(image, (size[1], size[0]), interpolation=interpolation)


def encode_image(rgb: NDArray[np.uint8], suffix: str, *, quality: int = 95, where: object = None) -> bytes:
    """A file of ``rgb`` (uint8 ``[H, W, 3]``) in the format that ``suffix`` names.

    ``quality`` (0-100) is for JPEG and WebP. Raises DataError, which names ``where``, when the suffix does not serve.
    """
    options = {
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, quality],
        ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, quality],
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
    }.get(suffix.lower(), [])
    try:
        done, content = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    except cv2.error as error:
        raise DataError(f"no image can be written as '{suffix}'", where=where) from error
    if not done:
        raise DataError("the image cannot be encoded", where=where)
    return content.tobytes()


def write_image(path: str | Path, rgb: NDArray[np.uint8], *, quality: int = 95) -> Path:
    """Write ``rgb`` (uint8 ``[H, W, 3]``) in the format that the suffix names, whole or not at all.

    ``quality`` (0-100) is for JPEG and WebP. Raises DataError when the suffix or the folder does not serve.
    """
    path = Path(path)
    content = encode_image(rgb, path.suffix, quality=quality, where=path)
    try:
        return write_atomic(path, lambda temporary: temporary.write_bytes(content))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"the image cannot be written ({why})", where=path) from error


def check_image(path: str | Path) -> tuple[int, int]:
    """The ``(height, width)`` that ``read_image`` would give, from the header where that suffices.

    Raises DataError when the image is corrupt, cut off, too small or too large.
    """
    try:
        require_file(path)
        with open(path, "rb") as stream:
            header = inspect_image(stream, path)
    except OSError as error:
        raise DataError(f"the image cannot be read ({error.strerror or error})", where=path) from error
    height, width = stated_size(header) or read_image(path).shape[:2]
    if min(height, width) < MIN_SIDE:
        raise DataError(f"{width} x {height} pixels is too small, {MIN_SIDE} is the least", where=path)
    return height, width


def inspect_image(stream: BinaryIO, where: object) -> Header:
    """The header of an image that is whole, as far as that can be told without decoding it.

    OpenCV fills the missing part of a JPEG with grey, or writes to stderr: so what was cut off is noticed here. Raises
    DataError for it, and for an image that is too large.
    """
    header = read_header(stream)
    _refuse_too_large(header, where)
    reason = stated_size(header) and _checks()[header.kind](stream)
    if reason:
        raise DataError(f"corrupt image ({reason})", where=where, hint=_HINT)
    return header


def stated_size(header: Header) -> tuple[int, int] | None:
    """``(height, width)``, upright, as the head says it; None where only decoding tells."""
    return header.upright if header.kind in _checks() and header.height and header.width else None


def _checks() -> dict[str, Callable[[BinaryIO], str]]:
    """By the formats whose heads say their sizes: why an image is not whole, "" where it is."""
    return {"jpeg": _check_jpeg, "png": _check_png, "webp": _check_webp}


def _refuse_too_large(header: Header, where: object) -> None:
    if header.height * header.width > MAX_PIXELS or max(header.height, header.width) > MAX_SIDE:
        raise DataError(
            f"an image of {header.width} x {header.height} pixels is too large, "
            f"{MAX_PIXELS / 1e6:.0f} megapixels and {MAX_SIDE} a side are the most",
            where=where,
            hint="make it smaller, or cut it into tiles",
        )


def _check_jpeg(stream: BinaryIO) -> str:
    """Why it is not whole. One without its marker at the end is decoded: other bytes may follow it."""
    stream.seek(-len(_JPEG_END), 2)
    if stream.read() == _JPEG_END:
        return ""
    from PIL import JpegImagePlugin  # takes as long to load as OpenCV, and nearly all files end with their marker

    stream.seek(0)
    try:  # not Image.open: it refuses large images by a limit of its own
        with JpegImagePlugin.JpegImageFile(stream) as image:
            image.load()
    # Pillow's readers raise whatever a hostile file makes them stumble over.
    except Exception as error:
        return str(error) or type(error).__name__
    return ""


def _check_png(stream: BinaryIO) -> str:
    """Why it is not whole, by the checksums of the chunks that an image cannot do without."""
    kind = b""
    for kind, length in png_chunks(stream):
        if kind[0] & 0x20:  # the rest may be wrong, decoders pass over it
            continue
        content = stream.read(length)
        if len(content) < length or stream.read(4) != zlib.crc32(content, zlib.crc32(kind)).to_bytes(4, "big"):
            return f"its {kind.decode('ascii', 'replace')} part is broken or cut off"
    return "" if kind == b"IEND" else "it is cut off"


def _check_webp(stream: BinaryIO) -> str:
    """Why it is not whole: it is shorter than it says. The last byte may be one that only pads."""
    stream.seek(4)
    length = int.from_bytes(stream.read(4), "little")
    return "it is cut off" if stream.seek(0, 2) < length + 8 - 1 else ""
