"""Networks that give their raw heads, whichever way they run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from yolo.class_names import class_channels
from yolo.program.compiled import CompiledNetwork


class RawHeadRunner(Protocol):
    """Call it with pictures uint8 ``[B, C, H, W]`` for its raw heads, float32 ``[B, na * (5 + nc), h, w]`` a level."""

    anchors: np.ndarray
    """float32 ``[nl, na, 2]`` in pixels."""
    strides: tuple[int, ...]
    compile_seconds: float
    """Seconds spent compiling so far."""

    def __call__(self, images: np.ndarray) -> Sequence[np.ndarray]: ...


class CompiledHeads:
    """The heads of a compiled network; needs no OneFlow."""

    def __init__(self, compiled: CompiledNetwork, anchors: np.ndarray, strides: Sequence[int]) -> None:
        self._compiled, self.anchors, self.strides = compiled, anchors, tuple(strides)
        self.compile_seconds = 0.0

    def __call__(self, images: np.ndarray) -> Sequence[np.ndarray]:
        begin = time.perf_counter()
        program = self._compiled.program(images.shape)  # made now, or long ago in no time
        self.compile_seconds += time.perf_counter() - begin
        return program(images)


class ReorderedHeads:
    """``RawHeadRunner`` with the classes in another order: class i is class ``order[i]`` of ``heads``."""

    def __init__(self, heads: RawHeadRunner, order: Sequence[int]) -> None:
        self._heads, self._order = heads, tuple(order)
        self.anchors, self.strides = heads.anchors, heads.strides

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""
        return self._heads.compile_seconds

    def __call__(self, images: np.ndarray) -> Sequence[np.ndarray]:
        found = self._heads(images)
        return [np.ascontiguousarray(head[:, class_channels(head.shape[1], self._order)]) for head in found]
