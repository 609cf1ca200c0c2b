"""A network small enough to compile in a second, with what a graph asks of a network."""

from __future__ import annotations

import numpy as np
import oneflow as flow
from oneflow import nn

CLASSES = 3


class TinyNetwork(nn.Module):
    """Two levels of two anchors; the same numbers for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.nc, self.strides = CLASSES, (4, 8)
        self.anchors = np.array([[(6, 8), (12, 9)], [(14, 20), (24, 22)]], np.float32)
        outputs = 2 * (5 + CLASSES)
        self.first = nn.Conv2d(3, 4, 4, stride=4, bias=False)
        self.norm = nn.BatchNorm2d(4, eps=1e-3, momentum=0.03)
        self.second = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False)
        self.heads = nn.ModuleList([nn.Conv2d(4, outputs, 1), nn.Conv2d(6, outputs, 1)])
        rng = np.random.default_rng(seed)
        with flow.no_grad():
            for parameter in self.parameters():
                parameter.copy_(flow.tensor(rng.normal(0, 0.4, tuple(parameter.shape)).astype(np.float32)))

    def forward(self, x: flow.Tensor) -> list[flow.Tensor]:
        fine = nn.functional.silu(self.norm(self.first(x)))
        coarse = nn.functional.silu(self.second(fine))
        return [self._shaped(head(level)) for head, level in zip(self.heads, (fine, coarse))]

    @staticmethod
    def _shaped(raw: flow.Tensor) -> flow.Tensor:
        batch, _, rows, columns = raw.shape
        return raw.reshape(batch, 2, 5 + CLASSES, rows, columns).permute(0, 1, 3, 4, 2)


def random_images(seed: int, shape: tuple[int, ...] = (2, 3, 32, 40)) -> np.ndarray:
    """uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def label_rows(seed: int, counts: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """For each image float32 [n, 5]: class, xywhn."""
    rng = np.random.default_rng(seed)
    return tuple(
        np.column_stack(
            [rng.integers(0, CLASSES, n), rng.uniform(0.1, 0.9, (n, 2)), rng.uniform(0.15, 0.6, (n, 2))]
        ).astype(np.float32)
        for n in counts
    )
