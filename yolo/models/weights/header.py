"""The header of a safetensors file, looked at before a parser makes something of it."""

from __future__ import annotations

from typing import Final

LENGTH_BYTES: Final = 8
LONGEST: Final = 8 << 20
"""Bytes; those of YOLOv5's networks with all that goes on with them are 50 to 500 KB long."""


def check_header(start: bytes) -> None:
    """Raise ValueError where the header that a file's first bytes announce is longer than LONGEST.

    A parser makes objects of its text that are thirty times as large.
    """
    length = int.from_bytes(start[:LENGTH_BYTES], "little")
    if length > LONGEST:
        raise ValueError(f"a header of {length} bytes; at most {LONGEST} are read")
