"""A picture's file read for detection: whole, or refused."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from yolo.data.images import decode_image, read_bytes
from yolo.errors import DataError

_JPEG_BEGIN, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """The picture at ``path`` as ``read_image`` gives it; a file that was cut off raises DataError too."""
    return picture_from(read_bytes(path), path)


def picture_from(content: NDArray[np.uint8], where: object) -> NDArray[np.uint8]:
    """The picture in a file's bytes, uint8 ``[n]``; ``where`` names it."""
    _refuse_cut_off(content, where)
    return decode_image(content, where)


def _refuse_cut_off(content: NDArray[np.uint8], where: object) -> None:
    """Raise DataError for a JPEG or PNG that lacks its end; whatever else is wrong is left to the decoder.

    OpenCV fills a JPEG's missing part with grey and its codecs write to stderr; Pillow tells, and quietly.
    """
    if content[:3].tobytes() == _JPEG_BEGIN and content[-2:].tobytes() == _JPEG_END:
        return
    try:
        with warnings.catch_warnings(), io.BytesIO(memoryview(content)) as stream:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(stream, formats=("JPEG", "PNG")) as picture:
                picture.verify() if picture.format == "PNG" else picture.load()
    except (Image.UnidentifiedImageError, Image.DecompressionBombError):
        return
    # Pillow's readers raise whatever a hostile file makes them stumble over.
    except Exception as error:
        raise DataError(f"corrupt picture ({error})", where=where, mend="replace or remove the file") from error
