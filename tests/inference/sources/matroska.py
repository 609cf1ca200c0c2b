"""Matroska films for the tests, frame by frame: with any times, damaged frames and any announced length."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from tests.inference.samples import SIZE


def write_matroska(path: Path, times: Sequence[int], length: float, damaged: Sequence[int] = ()) -> Path:
    """A film of JPEG frames shown at ``times`` (milliseconds), which announces ``length`` milliseconds.

    The data of the frames ``damaged`` (from 1) are zeros. Frame i is grey of about 2 i.
    """
    blocks = [_block(time, _jpeg(number, number in damaged)) for number, time in enumerate(times, 1)]
    info = _element("1549A966", _element("2AD7B1", b"\x0f\x42\x40") + _element("4489", struct.pack(">d", length)))
    height, width = (struct.pack(">H", side) for side in SIZE)
    image = _element("E0", _element("B0", width) + _element("BA", height))
    entry = b"".join(_element(name, b"\1") for name in ("D7", "73C5", "83")) + _element("86", b"V_MJPEG") + image
    segment = info + _element("1654AE6B", _element("AE", entry))
    segment += _element("1F43B675", _element("E7", b"\0") + b"".join(blocks))
    head = _element("1A45DFA3", _element("4282", b"matroska"))
    path.write_bytes(head + _element("18538067", segment))
    return path


def _element(name: str, content: bytes) -> bytes:
    return bytes.fromhex(name) + (len(content) | 1 << 56).to_bytes(8, "big") + content


def _block(time: int, data: bytes) -> bytes:
    return _element("A3", b"\x81" + struct.pack(">hB", time, 0x80) + data)


def _jpeg(number: int, damaged: bool) -> bytes:
    data = cv2.imencode(".jpg", np.full((*SIZE, 3), 2 * number, np.uint8))[1].tobytes()
    return bytes(len(data)) if damaged else data
