"""What users give as an image: made an RGB array, or a file whose pixels are decoded later."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, Union
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo.data.image_file import ImageFile
from yolo.data.images import turned
from yolo.errors import DataError

if TYPE_CHECKING:
    import PIL.Image

Original: TypeAlias = NDArray[np.uint8] | ImageFile
ImageLike: TypeAlias = Union[str, Path, NDArray[np.uint8], bytes, bytearray, memoryview, BinaryIO, "PIL.Image.Image"]
"""A path, the http(s) URL of an image, an array (see ``Originals``), the bytes of a file, something to read them from,
or Pillow's image."""

CHANNELS = ("rgb", "bgr")
MOST_FETCHED = 2**28
"""Bytes of an image that is fetched: 256 MiB."""

_ORIENTATION = 0x0112
_HINT = "give a path, a URL, a file's bytes, a Pillow image, or an array uint8 [H, W, 3]"


class Originals:
    """Makes originals of images; threads may share it.

    Arrays are uint8, 0 to 255: ``[H, W, 3]`` with ``channels`` "rgb" or, as OpenCV has them, "bgr"; ``[H, W, 4]`` with
    alpha, which is dropped; grey, ``[H, W]`` or ``[H, W, 1]``; or channels first, ``[3, H, W]``. Pillow's images are
    turned as EXIF says, and of any mode but F: palettes and CMYK become RGB, 16 bits 8, alpha is dropped.
    """

    def __init__(self, channels: str = "rgb") -> None:
        self._bgr = channels == "bgr"
        self._loading = threading.Lock()

    def of(self, image: object) -> Original:
        """RGB uint8 ``[H, W, 3]``, or a file that nobody has looked into.

        Raises DataError for what is no image, DownloadError for a URL that cannot be fetched.
        """
        if isinstance(image, np.ndarray):
            return self._array(image)
        if isinstance(image, ImageFile):
            return image
        if isinstance(image, str) and is_remote(image):
            return _fetched(image)
        if isinstance(image, (str, os.PathLike)):
            if not os.fspath(image):  # pathlib takes it for the current folder
                raise DataError("an empty path is not an image", hint=_HINT)
            return ImageFile(image)
        if isinstance(image, (bytes, bytearray, memoryview)):
            return ImageFile(None, bytes(image))
        if _is_pillow(image):
            return self._pillow(image)
        if callable(getattr(image, "read", None)):
            return _read(image)
        raise DataError(f"a {type(image).__name__} is not an image", hint=_HINT)

    def _array(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        planes = image[..., None] if image.ndim == 2 else image
        if planes.ndim == 3 and planes.shape[2] not in (1, 3, 4) and planes.shape[0] in (1, 3, 4):
            planes = planes.transpose(1, 2, 0)
        if image.dtype != np.uint8 or planes.ndim != 3 or planes.shape[2] not in (1, 3, 4) or not image.size:
            raise DataError(
                f"an array {image.dtype} {list(image.shape)} is not an image",
                hint="give uint8, 0 to 255: [H, W, 3], [H, W, 4] or grey [H, W]",
            )
        planes = np.ascontiguousarray(planes)
        code = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}[planes.shape[2]]
        if not self._bgr and planes.shape[2] == 3:
            return planes
        if not self._bgr and planes.shape[2] == 4:
            code = cv2.COLOR_RGBA2RGB
        return cv2.cvtColor(planes, code)

    def _pillow(self, image: PIL.Image.Image) -> NDArray[np.uint8]:
        try:
            with self._loading:  # one image may be given twice, and its file can be read once
                image.load()
            orientation = image.getexif().get(_ORIENTATION, 1)
            if image.mode.startswith("I"):
                pixels = _eight_bits(np.asarray(image))
            elif image.mode == "F":
                raise ValueError("its mode is F: nothing says how bright a number is")
            else:
                pixels = np.array(image.convert("RGB"))
        # Pillow's readers raise whatever a file that is cut off or hostile makes them stumble over.
        except Exception as error:
            what = f"the Pillow image cannot be used ({error or type(error).__name__})"
            raise DataError(what, hint="give its file, or an array uint8 [H, W, 3]") from error
        return turned(pixels, orientation)


def is_remote(text: str) -> bool:
    """Whether it is an http(s) URL."""
    return text[:8].lower().startswith(("http://", "https://"))


def _is_pillow(image: object) -> bool:
    pillow = sys.modules.get("PIL.Image")  # without it nobody has made one
    return pillow is not None and isinstance(image, pillow.Image)


def _eight_bits(grey: NDArray[np.integer]) -> NDArray[np.uint8]:
    """RGB of 16 bits a pixel ``[H, W]``: the upper 8, as of a file."""
    if grey.size and not 0 <= grey.min() <= grey.max() < 2**16:
        raise ValueError("its pixels are no 16-bit numbers")
    return cv2.cvtColor((grey.astype(np.uint16) >> 8).astype(np.uint8), cv2.COLOR_GRAY2RGB)


def _read(stream: BinaryIO) -> ImageFile:
    """The whole of a stream, from its beginning where it can go back."""
    name = getattr(stream, "name", None)
    name = Path(name) if isinstance(name, str) and name else None
    try:
        if callable(getattr(stream, "seek", None)) and (not hasattr(stream, "seekable") or stream.seekable()):
            stream.seek(0)
        content = stream.read()
    except (OSError, ValueError) as error:  # ValueError: closed, or opened as text
        raise DataError(f"the image cannot be read ({error})", where=name, hint="open it with 'rb'") from error
    if not isinstance(content, (bytes, bytearray, memoryview)):
        what = f"a {type(stream).__name__} gives a {type(content).__name__}, not bytes"
        raise DataError(what, where=name, hint="open it with 'rb'")
    return ImageFile(name, bytes(content))


def _fetched(url: str) -> ImageFile:
    """The image at ``url``, under the name that it has there."""
    from yolo.io.download import download

    with tempfile.TemporaryDirectory(prefix="yolo-image-") as folder:
        content = download(url, Path(folder, "image"), most=MOST_FETCHED).read_bytes()
    name = PurePosixPath(unquote(urlsplit(url).path)).name.replace("\0", "")
    return ImageFile(Path(name or "image"), content)
