"""Bodies: within their limits, and the one file of a form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.serving.client import form
from yolo.serving.body import check_head, image_in, read_body
from yolo.serving.limits import Limits, RefusedError

LIMITS = Limits(bytes=10, pixels=100, queue=2, receive_seconds=0.05)


def refused(call, *values) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        call(*values)
    return caught.value.status, caught.value.why


def read(*chunks: bytes, pause: float = 0) -> bytes:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            await asyncio.sleep(pause)
            yield chunk

    return asyncio.run(read_body(stream(), LIMITS))


def test_a_body_is_read_up_to_its_limit() -> None:
    assert read() == b"" and read(b"abc", b"", b"defghij") == b"abcdefghij"
    assert refused(read, b"abc", b"defghijk")[0] == 413


def test_a_slow_body_is_not_waited_for() -> None:
    def slowly() -> bytes:
        return read(*[b"a"] * 9, pause=0.02)

    assert refused(slowly)[0] == 408


def test_a_cancelled_request_stays_cancelled() -> None:
    """By whoever it was, but not by the time limit."""

    async def never() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def cancelled() -> None:
        task = asyncio.ensure_future(read_body(never(), LIMITS))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "IMAGE/PNG; q=1", "application/octet-stream", "multipart/form-data; boundary=a", ""]
)
def test_types_that_are_taken(kind: str) -> None:
    check_head(kind, "", "10", LIMITS)


def test_heads_that_say_enough() -> None:
    assert refused(check_head, "image/png", "", "11", LIMITS)[0] == 413
    assert refused(check_head, "image/png", "", "9" * 5000, LIMITS)[0] == 413
    assert refused(check_head, "image/png", "gzip", "", LIMITS)[0] == 415
    status, why = refused(check_head, "application/x-www-form-urlencoded", "", "", LIMITS)
    assert status == 415 and "multipart/form-data" in why


def test_the_file_of_a_form() -> None:
    file = b"\r\n--edg\0\r\n--" * 1000
    body, headers = form(file)
    assert image_in(body, headers["Content-Type"]) == file
    assert image_in(file, "image/png") == file and image_in(file, "") == file
    assert image_in(*[form(b"")[0], headers["Content-Type"]]) == b""


def test_forms_that_are_not_taken() -> None:
    kind = form()[1]["Content-Type"]
    whole = form(b"a" * 100)[0]
    assert refused(image_in, form(b"a", b"b")[0], kind) == (422, "a form with 2 files; send one image a request")
    assert refused(image_in, form(b"a", field="1")[0], kind)[0] == 422
    assert refused(image_in, form()[0], kind)[0] in (400, 422)
    for body in (b"", b"nothing", whole[:-6], whole[:100], whole[10:]):
        assert refused(image_in, body, kind)[0] == 400, body
    for boundary in ("", "; boundary=", "; boundary=" + "x" * 5000, "; boundary=other"):
        assert refused(image_in, whole, f"multipart/form-data{boundary}")[0] == 400
