"""Tensor storages of a `.pt` file, every size checked against the file before anything is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

STORAGE_TYPES: Final[Mapping[str, str]] = {
    "HalfStorage": "f2",
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "BFloat16Storage": "bf16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}
_MAX_DIMENSIONS: Final = 16


@dataclass(eq=False)
class Storage:
    """A run of numbers in the file: its key, type code and length; bytes are attached by the reader."""

    key: str
    code: str
    length: int
    raw: bytes | None = None
    big_endian: bool = False

    @property
    def item_bytes(self) -> int:
        return 2 if self.code == "bf16" else np.dtype(self.code).itemsize

    def array(self) -> np.ndarray:
        """The numbers as a flat array without a copy, bfloat16 as its 16 bits; raises ValueError when the file holds
        fewer than it claims."""
        if self.raw is None or len(self.raw) != self.length * self.item_bytes:
            held = 0 if self.raw is None else len(self.raw)
            raise ValueError(f"storage {self.key!r} holds {held} bytes, not {self.length * self.item_bytes}")
        order = ">" if self.big_endian else "<"
        code = "u2" if self.code == "bf16" else self.code
        return np.frombuffer(self.raw, np.dtype(code).newbyteorder(order))


@dataclass(frozen=True, eq=False)
class TensorRef:
    """A tensor as the pickle describes it, in elements of its storage."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @classmethod
    def checked(cls, storage: Storage, offset: Any, size: Any, stride: Any) -> TensorRef:
        """A tensor that lies within its storage; raises ValueError for any other."""
        if not isinstance(size, tuple) or not isinstance(stride, tuple) or len(size) != len(stride):
            raise ValueError("sizes and strides do not fit each other")
        if len(size) > _MAX_DIMENSIONS or not all(_is_count(n) for n in (offset, *size, *stride)):
            raise ValueError("sizes or strides that are not counts")
        elements = math.prod(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride)) if elements else 0
        if elements > storage.length or (elements and last >= storage.length):
            raise ValueError(f"a tensor of {elements} elements reaches outside its storage of {storage.length}")
        return cls(storage, offset, size, stride)

    @property
    def elements(self) -> int:
        return math.prod(self.size)

    def read(self) -> np.ndarray:
        """A copy: floats as float32, whole numbers as int64, truth values as bool."""
        flat = self.storage.array()
        if not self.elements:
            view = flat[:0].reshape(self.size)
        else:
            steps = tuple(step * flat.itemsize for step in self.stride)
            view = np.lib.stride_tricks.as_strided(flat[self.offset :], self.size, steps, writeable=False)
        if self.storage.code == "bf16":  # here and not for the whole storage, which many tensors may share
            upper = np.array(view, dtype=np.uint32, order="C")
            upper <<= np.uint32(16)
            return upper.view(np.float32)
        kinds = {"f": np.float32, "i": np.int64, "u": np.int64, "b": np.bool_}
        return np.array(view, dtype=kinds[view.dtype.kind], order="C")


def storage_from_id(identity: Any, *, longest: int) -> Storage:
    """The storage that a persistent id names; ``longest``: bytes that the file could hold at all.

    Raises ValueError for an id that is not `('storage', type, key, device, length, …)`, or names a part of a storage
    (PyTorch before 0.4).
    """
    if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
        raise ValueError("a persistent id that is no storage")
    if identity[5:] not in ((), (None,)):
        raise ValueError("a storage that is a part of another one")
    kind, key, length = identity[1], identity[2], identity[4]
    code = STORAGE_TYPES.get(getattr(kind, "name", ""))
    if code is None or not isinstance(key, str) or len(key) > 64 or not _is_count(length):
        raise ValueError("a storage of unknown type, key or length")
    storage = Storage(key, code, length)
    if length * storage.item_bytes > longest:
        raise ValueError(f"storage {key!r} claims {length} elements, more than the file holds")
    return storage


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 48
