"""Pictures in and out of files: RGB in memory, whatever the file holds."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from yolo.errors import DataError
from yolo.files import write_atomic

SUFFIXES = frozenset(
    {".bmp", ".dng", ".jpeg", ".jpg", ".mpo", ".pfm", ".png", ".tif", ".tiff", ".webp"},
)
"""File name endings (lower case) that count as pictures."""

MIN_SIDE = 10
"""Pictures with a shorter side (pixels) are not usable."""

_EXIF_ORIENTATION = 274
_TRANSPOSING = (5, 6, 7, 8)
# Formats whose header says the shape, and of which Pillow notices that they are cut off (of a BMP it does not). OpenCV
# turns JPEG and PNG by their EXIF orientation, not the others.
_HEADER_TELLS = ("JPEG", "MPO", "PNG", "WEBP")
_JPEG_END = b"\xff\xd9"


def limit_opencv_threads() -> None:
    """Make OpenCV single-threaded for the whole process.

    The loader's workers are the parallelism; OpenCV's own threads under them only get in each other's way.
    """
    cv2.setNumThreads(0)


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """The picture at ``path``: RGB, uint8 ``[H, W, 3]``, upright by its EXIF orientation.

    Grey pictures get three equal channels, alpha is dropped, 16 bits become 8. Raises DataError when the
    file cannot be read or decoded.
    """
    return decode_image(read_bytes(path), path)


def read_bytes(path: str | Path) -> NDArray[np.uint8]:
    """The file's bytes, ``[n]``; raises DataError when it cannot be read."""
    try:
        return np.fromfile(path, np.uint8)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        why = getattr(error, "strerror", None) or error
        raise DataError(f"the picture cannot be read ({why})", where=path) from error


def decode_image(content: NDArray[np.uint8], where: object) -> NDArray[np.uint8]:
    """The picture in a file's bytes ``[n]``, as ``read_image`` gives it; ``where`` names it in the DataError."""
    # imread cannot open every path on every system; a buffer is the same to it everywhere.
    try:
        rgb = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB) if content.size else None
    except cv2.error:
        rgb = None
    if rgb is None:
        raise DataError("the picture cannot be decoded", where=where, mend="replace or remove the file")
    return rgb


def load_picture(path: str | Path, size: tuple[int, int], *, augmented: bool) -> NDArray[np.uint8]:
    """The picture at ``path`` resized to ``size`` (height, width), as ``read_image`` gives it.

    By area where one that is not to be augmented shrinks, else linear (YOLOv5). Raises DataError as ``read_image``.
    """
    image = read_image(path)
    if image.shape[:2] == size:
        return image
    shrinks = size[0] < image.shape[0] or size[1] < image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks and not augmented else cv2.INTER_LINEAR
    return cv2.resize(image, (size[1], size[0]), interpolation=interpolation)


def write_image(path: str | Path, rgb: NDArray[np.uint8], *, quality: int = 95) -> Path:
    """Write ``rgb`` (uint8 ``[H, W, 3]``) in the format that the suffix names, whole or not at all.

    ``quality`` (0-100) is for JPEG and WebP. Raises DataError when the suffix or the folder does not serve.
    """
    path = Path(path)
    options = {
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, quality],
        ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, quality],
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, quality],
    }.get(path.suffix.lower(), [])
    try:
        done, content = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    except cv2.error as error:
        raise DataError(f"no picture can be written as '{path.suffix}'", where=path) from error
    if not done:
        raise DataError("the picture cannot be encoded", where=path)
    try:
        return write_atomic(path, lambda temporary: temporary.write_bytes(content.tobytes()))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"the picture cannot be written ({why})", where=path) from error


def check_image(path: str | Path) -> tuple[int, int]:
    """The ``(height, width)`` that ``read_image`` would give, from the header where that suffices.

    Raises DataError when the picture is corrupt, cut off or too small.
    """
    height, width = _shape(path)
    if min(height, width) < MIN_SIDE:
        raise DataError(f"{width} x {height} pixels is too small, {MIN_SIDE} is the least", where=path)
    return height, width


def _shape(path: str | Path) -> tuple[int, int]:
    try:
        with open(path, "rb") as stream:
            shape = _header_shape(stream)
            if shape is not None:
                return shape
    except OSError as error:
        if error.errno is not None:  # the system's errors have a number, Pillow's "broken file" has none
            raise DataError(f"the picture cannot be read ({error.strerror})", where=path) from error
        raise DataError(f"corrupt picture ({error})", where=path) from error
    # Pillow's readers raise whatever a hostile file makes them stumble over.
    except Exception as error:
        raise DataError(f"corrupt picture ({type(error).__name__}: {error})", where=path) from error
    decoded = read_image(path)
    return decoded.shape[0], decoded.shape[1]


def _header_shape(stream: BinaryIO) -> tuple[int, int] | None:
    """``(height, width)`` of the upright picture, or None for a format whose header does not settle it."""
    try:
        picture = Image.open(stream)
    except Image.UnidentifiedImageError:
        return None
    with picture:
        kind, (width, height) = picture.format, picture.size
        if kind not in _HEADER_TELLS:
            return None
        turned = False
        if kind in ("JPEG", "MPO"):
            try:
                turned = picture.getexif().get(_EXIF_ORIENTATION) in _TRANSPOSING
            except Exception:  # a broken EXIF block spoils no pixel; decoding tells the shape
                return None
        picture.verify()
    if kind in ("JPEG", "MPO"):
        _check_jpeg_end(stream)
    elif kind == "PNG" and _has_exif_chunk(stream):
        return None
    return (width, height) if turned else (height, width)


def _has_exif_chunk(stream: BinaryIO) -> bool:
    stream.seek(0)
    return b"eXIf" in stream.read()


def _check_jpeg_end(stream: BinaryIO) -> None:
    """Decode a JPEG whose end marker is missing, which raises OSError when picture data is missing too."""
    stream.seek(-len(_JPEG_END), 2)
    if stream.read() != _JPEG_END:
        stream.seek(0)
        with Image.open(stream) as picture:
            picture.load()
