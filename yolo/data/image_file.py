"""An image in a file, whose pixels are decoded when somebody asks for them."""

from __future__ import annotations

import functools
import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo.data.image_header import Header
from yolo.data.images import decode_image, inspect_image, read_bytes, stated_size
from yolo.data.letterbox import Size


class ImageFile:
    """The image at ``path``, which nobody has checked; its file is read once, when it is first looked at.

    With ``content`` these bytes are the file's, and ``path`` only a name, or None. Everything but ``path`` raises
    DataError for a file that cannot be read and for what ``check_image`` calls corrupt.
    """

    def __init__(self, path: str | os.PathLike[str] | None, content: bytes | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._given = content

    @functools.cached_property
    def content(self) -> NDArray[np.uint8]:
        """The file's bytes, ``[n]``."""
        return read_bytes(self.path) if self._given is None else np.frombuffer(self._given, np.uint8)

    @functools.cached_property
    def header(self) -> Header:
        """Its head; the image behind it is whole."""
        return inspect_image(io.BytesIO(memoryview(self.content)), self._where)

    @functools.cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """The image as ``read_image`` gives it: RGB, uint8 ``[H, W, 3]``, upright."""
        _ = self.header  # raises for what decoders pass over
        return decode_image(self.content, self._where)

    def forget(self) -> None:
        """Let the decoded pixels go; whoever asks for them again has them decoded again."""
        vars(self).pop("pixels", None)

    @property
    def size(self) -> Size:
        """``(height, width)`` of ``pixels``, without decoding them where the head says it."""
        return stated_size(self.header) or self.pixels.shape[:2]

    @property
    def _where(self) -> object:
        return self.path or "the bytes given"
