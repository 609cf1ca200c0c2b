"""Arrays as bytes: what comes back is the same, and what is said wrongly is refused before memory is taken."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

from yolo.distributed.pack import pack, unpack


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "text": np.array("/runs/ä"), "b/c": np.zeros((0, 4))},
        {"order": np.asfortranarray(np.arange(12.0).reshape(3, 4)), "one": np.array(True)},
        {"names": np.array(["a", "bc"]), "bytes": np.frombuffer(bytes(100_000), np.uint8)},
    ],
)
def test_what_is_packed_comes_back(arrays: dict[str, np.ndarray]) -> None:
    found = unpack(pack(arrays))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


def entry(header: str, content: bytes = b"", **how: int) -> bytes:
    """One array, with a header of one's own."""
    text = header.encode() + b"\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as members:
        npy = np.lib.format.magic(1, 0) + struct.pack("<H", len(text)) + text + content
        members.writestr("a.npy", npy, **how)
    return packed.getvalue()


def header(shape: str, dtype: str = "<f8") -> str:
    return f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}"


@pytest.mark.parametrize(
    "make",
    [
        lambda: entry(header("(1000000000000,)")),
        lambda: entry(header("(4,)"), bytes(24)),
        lambda: entry(header("(2,)"), bytes(24)),
        lambda: entry(header("(-1,)"), bytes(24)),
        lambda: entry(header("(1,)", "|O"), bytes(8)),
        lambda: entry(header("(1 << 70,)")),
        lambda: entry("no header"),
        lambda: entry(header("(10000,)"), bytes(80_000), compress_type=zipfile.ZIP_DEFLATED),
        lambda: pack({"a": np.zeros(100)})[:-30],
        lambda: pack({"a": np.zeros(100)}).replace(bytes(100), b"x" * 100),
        lambda: b"",
        lambda: b"no arrays at all",
    ],
    ids=[
        "huge",
        "short",
        "long",
        "negative",
        "objects",
        "overflow",
        "no header",
        "bomb",
        "cut",
        "sum",
        "empty",
        "text",
    ],
)
def test_what_is_none_is_refused(make: Callable[[], bytes]) -> None:
    with pytest.raises(ValueError):
        unpack(make())
