"""Arrays as bytes that another process reads: no memory is taken for more than came."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping

import numpy as np


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays by name, of numbers and of text."""
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


def unpack(data: bytes) -> dict[str, np.ndarray]:
    """What ``pack`` has packed. Raises ValueError for anything else."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as members:
            entries = members.infolist()
            if sum(entry.file_size for entry in entries) > len(data):
                raise ValueError("its arrays claim to be larger than it is")
            return {entry.filename.removesuffix(".npy"): _array(members.read(entry)) for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OverflowError, SyntaxError) as error:
        raise ValueError(f"does not hold arrays: {error}") from error


def _array(content: bytes) -> np.ndarray:
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(content) - stream.tell():
        raise ValueError("an array's stated size is not its size")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)
