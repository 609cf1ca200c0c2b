"""A Runnable in Python, for the operator's tests: it looks to C++ like an object of csrc/program/common/runnable.h."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Spec = tuple[tuple[int, ...], str]
"""A buffer's shape and dtype."""
Addresses = ctypes.POINTER(ctypes.c_void_p)
Run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, Addresses, Addresses)


class _Runnable:
    """An object whose virtual functions are two destructors, which nobody calls, and ``run`` (the Itanium C++ ABI)."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self._functions = (ctypes.c_void_p * 3)(None, None, ctypes.cast(run, ctypes.c_void_p))
        self._object = ctypes.c_void_p(ctypes.addressof(self._functions))
        self.address = ctypes.addressof(self._object)


class FunctionRunnable(_Runnable):
    """Calls ``function(inputs, outputs)`` with NumPy views of the buffers, which it may write."""

    def __init__(self, function: Callable[[list, list], Any], inputs: Sequence[Spec], outputs: Sequence[Spec]) -> None:
        super().__init__(Run(functools.partial(_call, function, tuple(inputs), tuple(outputs))))


class FailingRunnable(_Runnable):
    """Throws std::bad_alloc."""

    def __init__(self) -> None:
        super().__init__(ctypes.CDLL("libstdc++.so.6")._ZSt17__throw_bad_allocv)


def _call(
    function: Callable[[list, list], Any],
    inputs: Sequence[Spec],
    outputs: Sequence[Spec],
    _: int,
    given: Any,
    made: Any,
) -> None:
    function(
        [_view(*spec, at) for spec, at in zip(inputs, given)], [_view(*spec, at) for spec, at in zip(outputs, made)]
    )


def _view(shape: tuple[int, ...], dtype: str, address: int | None) -> np.ndarray:
    array = np.empty(shape, dtype)
    if not array.size:  # of nothing the address is null
        return array
    return np.frombuffer((ctypes.c_char * array.nbytes).from_address(address), dtype).reshape(shape)
