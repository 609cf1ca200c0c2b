"""A request's body: read within its limits, and the one file of a form taken out of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from yolo.serving.limits import Limits, RefusedError

TAKEN = "send the image itself as image/*, or a form (multipart/form-data) with one file"


def check_head(content_type: str, encoding: str, length: str, limits: Limits) -> None:
    """Raises RefusedError for what the headers say already: too long, compressed, or of another type."""
    if length.isdecimal():
        limits.check_length(int(length[:18]))
    if encoding not in ("", "identity"):
        raise RefusedError(415, "a compressed body is not taken; images are compressed already")
    kind = content_type.partition(";")[0].strip().lower()
    if kind and kind not in ("multipart/form-data", "application/octet-stream") and not kind.startswith("image/"):
        raise RefusedError(415, f"Content-Type {kind[:60]} is not taken; {TAKEN}")


async def read_body(chunks: AsyncIterator[bytes], limits: Limits) -> bytes:
    """All of it; raises RefusedError for one that is longer, or comes more slowly, than is allowed."""
    content = bytearray()
    try:
        async with _deadline(limits.receive_seconds):
            async for chunk in chunks:
                content += chunk
                limits.check_length(len(content))
    except asyncio.TimeoutError:
        why = f"the body did not come within {limits.receive_seconds:g} s (--receive-seconds)"
        raise RefusedError(408, why, {"Connection": "close"}) from None
    return bytes(content)


@contextlib.asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    """Raises TimeoutError in the block when it takes longer."""
    task, late = asyncio.current_task(), False

    def ring() -> None:
        nonlocal late
        late = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, ring)
    try:
        yield
    except asyncio.CancelledError:
        if not late:
            raise
        raise asyncio.TimeoutError from None
    finally:
        timer.cancel()


def image_in(body: bytes, content_type: str) -> bytes:
    """The image file that a body is, or that is the one file of a form; raises RefusedError for another form."""
    kind, options = parse_options_header(content_type)
    if kind.lower() != b"multipart/form-data":
        return body
    form = _Form()
    try:
        parser = MultipartParser(options.get(b"boundary", b""), form.callbacks())
        parser.write(body)
        parser.finalize()
    except (MultipartParseError, ValueError) as error:  # ValueError: a boundary that is none
        raise RefusedError(400, "the form is damaged") from error
    if not form.whole:
        raise RefusedError(400, "the form is cut off")
    if form.other:
        raise RefusedError(422, "a form has one file and nothing else; options go into the address: ?conf=0.5")
    if len(form.files) != 1:
        raise RefusedError(422, f"a form with {len(form.files)} files; send one image a request")
    return b"".join(form.files[0])


class _Form:
    """Collects the files of a form."""

    def __init__(self) -> None:
        self.files: list[list[bytes]] = []
        self.other = 0
        self.whole = False
        self._name = self._value = b""
        self._disposition = b""
        self._file: list[bytes] | None = None

    def callbacks(self) -> dict:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add("_name", data[start:end]),
            "on_header_value": lambda data, start, end: self._add("_value", data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._headers,
            "on_part_data": self._data,
            "on_end": lambda: setattr(self, "whole", True),
        }

    def _add(self, name: str, part: bytes) -> None:
        setattr(self, name, getattr(self, name) + part)

    def _begin(self) -> None:
        self._name = self._value = self._disposition = b""
        self._file = None

    def _header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers(self) -> None:
        if b"filename" in parse_options_header(self._disposition)[1]:
            self._file = []
            self.files.append(self._file)
        else:
            self.other += 1

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.append(data[start:end])
