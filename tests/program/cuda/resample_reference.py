"""Pools and upsampling, and their gradients, in NumPy on float64 ``[B, C, h, w]``."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Case:
    """A way of resampling maps of a size."""

    method: str
    size: tuple[int, int]
    kernel: int
    stride: int
    padding: int = 0

    @property
    def attributes(self) -> dict[str, str | int]:
        """Of a step."""
        return {name: getattr(self, name) for name in ("method", "kernel", "stride", "padding")}

    @property
    def made(self) -> tuple[int, int]:
        """The target's size."""
        if self.method in ("upsample", "bilinear"):
            return (self.size[0] * self.stride, self.size[1] * self.stride)
        return tuple((side + 2 * self.padding - self.kernel) // self.stride + 1 for side in self.size)

    def window(self, y: int, x: int) -> list[tuple[int, int, int]]:
        """Of a pixel of the target's: place in the kernel, y and x of each pixel inside of the map."""
        found = []
        for place in range(self.kernel**2):
            row = y * self.stride - self.padding + place // self.kernel
            column = x * self.stride - self.padding + place % self.kernel
            if 0 <= row < self.size[0] and 0 <= column < self.size[1]:
                found.append((place, row, column))
        return found


def forward(case: Case, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The target, and of max pools the places of the maxima."""
    made = np.zeros((*source.shape[:2], *case.made))
    places = np.zeros(made.shape, int)
    for y, x in np.ndindex(case.made):
        if case.method == "max_pool":
            made[..., y, x], places[..., y, x] = _maximum(case, source, y, x)
        elif case.method == "average_pool":
            made[..., y, x] = sum(source[..., i, j] for _, i, j in case.window(y, x)) / case.kernel**2
        elif case.method == "upsample":
            made[..., y, x] = source[..., y // case.stride, x // case.stride]
    if case.method == "bilinear":
        made = np.einsum("yi,xj,bcij->bcyx", *_blends(case), source)
    return made, places


def backward(case: Case, gradient: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The gradient of the source."""
    made = np.zeros((*gradient.shape[:2], *case.size))
    if case.method == "bilinear":
        return np.einsum("yi,xj,bcyx->bcij", *_blends(case), gradient)
    for y, x in np.ndindex(case.made):
        given = gradient[..., y, x]
        if case.method == "upsample":
            made[..., y // case.stride, x // case.stride] += given
            continue
        for place, i, j in case.window(y, x):
            here = places[..., y, x] == place
            made[..., i, j] += np.where(here, given, 0.0) if case.method == "max_pool" else given / case.kernel**2
    return made


def _maximum(case: Case, source: np.ndarray, y: int, x: int) -> tuple[np.ndarray, np.ndarray]:
    """The first largest number and its place; NaN is none."""
    window = case.window(y, x)
    numbers = np.stack([source[..., i, j] for _, i, j in window])
    numbers = np.where(np.isnan(numbers), -np.inf, numbers)
    first = numbers.argmax(0)
    return numbers.max(0), np.array([place for place, _, _ in window])[first]


def _blends(case: Case) -> list[np.ndarray]:
    """Along both axes ``[out, in]``: how much of each pixel one is made of."""
    found = []
    for side in case.size:
        rows = np.zeros((side * case.stride, side))
        for out in range(side * case.stride):
            at = max((out + 0.5) / case.stride - 0.5, 0.0)
            low = int(at)
            rows[out, low] += 1.0 - (at - low)
            rows[out, min(low + 1, side - 1)] += at - low
        found.append(rows)
    return found
