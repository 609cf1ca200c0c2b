"""Numbers of three types, and maps of them: whole buffers of which kernels see some channels."""

from __future__ import annotations

import dataclasses

import numpy as np

PRECISIONS = ("fp32", "bf16", "fp16")
NEAR = {"fp32": 1e-5, "bf16": 1.6e-2, "fp16": 2e-3}
UNTOUCHED = 7.0


def rounded(values: np.ndarray, precision: str) -> np.ndarray:
    """To the nearest number of the type, as float32."""
    values = np.asarray(values, np.float32)
    if precision == "fp16":
        return values.astype(np.float16).astype(np.float32)
    if precision == "bf16":
        bits = values.view(np.uint32)
        return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
    return values


@dataclasses.dataclass(frozen=True)
class MapShape:
    """Maps [images, height, width, channels], as channels ``first`` on of pixels of ``pitch`` numbers."""

    images: int
    height: int
    width: int
    channels: int
    first: int = 0
    pitch: int = 0

    @property
    def lanes(self) -> int:
        """Channels with those that fill the last pack."""
        return -(-self.channels // 8) * 8

    @property
    def size(self) -> tuple[int, int, int, int]:
        """Of the map."""
        return self.images, self.height, self.width, self.channels

    def buffer(self, values: np.ndarray | None = None) -> np.ndarray:
        """A buffer with a map in it and zeros in its last lanes; without one, all of it is UNTOUCHED."""
        whole = np.full((*self.size[:3], self.pitch or self.lanes), UNTOUCHED, np.float32)
        if values is not None:
            whole[..., self.first : self.first + self.lanes] = 0
            whole[..., self.first : self.first + self.channels] = values
        return whole

    def read(self, whole: np.ndarray) -> np.ndarray:
        """The map [pixels, channels] in a buffer that something wrote: zeros in its last lanes, the rest UNTOUCHED."""
        last = self.first + self.channels
        assert (whole[..., last : self.first + self.lanes] == 0).all()
        others = np.delete(whole, np.s_[self.first : self.first + self.lanes], axis=-1)
        assert (others == UNTOUCHED).all()
        return whole[..., self.first : last].reshape(-1, self.channels)


def off(found: np.ndarray, right: np.ndarray, scale: float | None = None) -> float:
    """The largest difference, relative to the largest right number or to ``scale``."""
    return float(np.abs(found - right).max() / (scale or max(np.abs(right).max(), 1e-30)))
