"""What a request may cost, and how one that costs more is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
from collections.abc import Callable, Iterator, Mapping

from yolo.data.image_header import Header, read_header
from yolo.data.images import stated_size

KINDS = ("jpeg", "png", "webp")
"""Formats whose heads say the image's size, so that it is known before anything is decoded."""


class RefusedError(Exception):
    """An answer other than 200: the HTTP status, one line that says why, and headers."""

    def __init__(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(why)
        self.status, self.why, self.headers = status, why, dict(headers or {})


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of a request's body and its image, and of the requests that are being answered."""

    bytes: int
    pixels: int
    queue: int
    """Requests that were accepted and not answered yet."""
    receive_seconds: float
    """In which a request's head, its body, and the reading of its answer must be through, each."""

    def check_length(self, length: int) -> None:
        """Raises RefusedError for more bytes than a body may have."""
        if length > self.bytes:
            raise RefusedError(413, f"the body is larger than {self.bytes / 1e6:g} MB (--max-megabytes)")

    def check_image(self, content: bytes) -> None:
        """Look at an image file's head alone, which says what decoding it takes.

        Raises RefusedError for what is no JPEG, PNG or WebP file, says no size, or a larger one than is allowed.
        """
        if not content:
            raise RefusedError(422, "there is no image: the body, or the file in it, is empty")
        header = read_header(io.BytesIO(content))
        if header.kind not in KINDS:
            raise RefusedError(415, "not an image in a format that is taken: JPEG, PNG, WebP")
        size = stated_size(header)
        if size is None:
            raise RefusedError(422, "the image is damaged: its head does not say its size")
        self._check_pixels(header, *size)

    def _check_pixels(self, header: Header, height: int, width: int) -> None:
        if height * width > self.pixels:
            most = f"{self.pixels / 1e6:g} megapixels (--max-megapixels)"
            raise RefusedError(413, f"a {header.kind} image of {width} x {height} pixels is larger than {most}")


class Places:
    """As many as requests may be there at once; for the event loop's thread alone."""

    def __init__(self, count: int, seconds_each: Callable[[], float]) -> None:
        """``seconds_each``: what one takes at present, for who is told to come again."""
        self._count, self._seconds_each = count, seconds_each
        self.taken = 0

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold one in the block; raises RefusedError where there is none."""
        if self.taken >= self._count:
            wait = math.ceil(min(max(self.taken * self._seconds_each(), 1), 60))
            raise RefusedError(
                429, f"{self.taken} requests are waiting already (--max-queue)", {"Retry-After": str(wait)}
            )
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
