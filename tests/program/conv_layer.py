"""One convolution between the images and the head, compiled, and in double precision."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from yolo import native
from yolo.program.plan import Plan, Step, TensorView
from yolo.program.target import Target

BLOCK = Target.of().block
ACTIVATIONS: dict[str, tuple[float, Callable[[np.ndarray], np.ndarray]]] = {
    "Identity": (0.0, lambda u: u),
    "SiLU": (0.0, lambda u: u / (1 + np.exp(-u))),
    "ReLU": (0.0, lambda u: np.maximum(u, 0)),
    "ReLU6": (0.0, lambda u: np.clip(u, 0, 6)),
    "LeakyReLU": (0.1, lambda u: np.where(u > 0, u, 0.1 * u)),
    "Hardswish": (0.0, lambda u: u * np.clip(u + 3, 0, 6) / 6),
    "Sigmoid": (0.0, lambda u: 1 / (1 + np.exp(-u))),
    "Mish": (0.0, lambda u: u * np.tanh(np.logaddexp(0, u))),
    "GELU": (0.0, lambda u: u * (0.5 + 0.5 * np.vectorize(math.erf)(u / math.sqrt(2)))),
    "Tanh": (0.0, np.tanh),
    "ELU": (0.7, lambda u: np.where(u > 0, u, 0.7 * np.expm1(np.minimum(u, 0)))),
}
"""By name: its parameter, and what it computes."""


@dataclasses.dataclass
class Layer:
    """A convolution of the images, divided by 64, of ``height`` x ``width`` pixels, with padding ``kernel // 2``.

    The residual is every ``stride``-th pixel of the images.
    """

    height: int
    width: int
    source: int
    target: int
    activation: str = "SiLU"
    bias: bool = True
    residual: bool = False
    images: int = 1
    kernel: int = 3
    stride: int = 1
    algorithm: str = "winograd"

    def __post_init__(self) -> None:
        rng, side = np.random.default_rng(0), self.kernel
        scale = (2 / (side**2 * self.source)) ** 0.5
        self.weight = rng.normal(0, scale, (self.target, self.source, side, side)).astype(np.float32)
        self.shift = rng.normal(0, 0.3, self.target).astype(np.float32)
        self.pixels = rng.integers(0, 256, (self.images, self.source, self.height, self.width), np.uint8)

    @property
    def out_size(self) -> tuple[int, int]:
        return -(-self.height // self.stride), -(-self.width // self.stride)

    def constants(self) -> native.Weights:
        weights = native.Weights()
        weights.set("w.weight", self.weight)
        weights.set("w.bias", self.shift)
        weights.set("same.weight", np.eye(self.source, dtype=np.float32)[:, :, None, None].copy())
        return weights

    def plan(self, algorithm: str = "", threads: int = 1, per_image: bool = True, **instead) -> Plan:
        """With its own algorithm or another one; ``instead``: other attributes of the convolution."""
        size, together = (self.height, self.width), 1 if per_image else self.images
        bytes_ = together * max(self.source, self.target) * self.height * self.width * 4
        one, two, three = (
            TensorView(number * bytes_, channels, *of, 4, "blocked", 0, channels)
            for number, (channels, of) in enumerate(
                ((self.source, size), (self.target, self.out_size), (self.source, self.out_size))
            )
        )
        views = {"source": (one,), "target": (two,)} | ({"residual": (three,)} if self.residual else {})
        named = {"weights": "w", "bias": self.bias, "activation": self.activation}
        named |= {"value": ACTIVATIONS[self.activation][0], "algorithm": algorithm or self.algorithm}
        steps = [
            Step("load_images", "input", {"target": (one,)}, {"divisor": 64.0}),
            *([self.thinned(one, three)] if self.residual else []),
            Step("conv", "layer", views, {**self._sides(self.kernel), **named, **instead}),
            Step("store_head", "output", {"source": (two,)}, {"number": 0}),
        ]
        head = (self.images, self.target, *self.out_size)
        return Plan(
            Target.of(threads=threads), self.pixels.shape, (head,), 3 * bytes_, tuple(steps), per_image=per_image
        )

    def _sides(self, kernel: int) -> dict:
        pairs = {"kernel": kernel, "stride": self.stride, "padding": kernel // 2, "dilation": 1}
        return {name: (side, side) for name, side in pairs.items()} | {"groups": 1, "transposed": False}

    def thinned(self, source: TensorView, target: TensorView) -> Step:
        """Every ``stride``-th pixel of a map."""
        named = {"weights": "same", "bias": False, "activation": "Identity", "value": 0.0, "algorithm": "direct"}
        return Step("conv", "residual", {"source": (source,), "target": (target,)}, {**self._sides(1), **named})

    def run(self, *args, **kwargs) -> np.ndarray:
        (head,) = native.Executor(self.plan(*args, **kwargs), weights=self.constants())(self.pixels)
        return head

    def in_double(self) -> np.ndarray:
        x, s, edge = self.pixels / 64.0, self.stride, self.kernel // 2
        height, width = self.out_size
        padded = np.pad(x, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
        total = np.zeros((self.images, height, width, self.target))
        for row in range(self.kernel):
            for column in range(self.kernel):
                part = padded[:, :, row : row + s * (height - 1) + 1 : s, column : column + s * (width - 1) + 1 : s]
                total += part.transpose(0, 2, 3, 1) @ self.weight[:, :, row, column].T.astype(np.float64)
        total = total.transpose(0, 3, 1, 2) + (self.shift[:, None, None] if self.bias else 0.0)
        return ACTIVATIONS[self.activation][1](total) + (x[:, :, ::s, ::s] if self.residual else 0.0)


def assert_near(found: np.ndarray, expected: np.ndarray, limit: float) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= limit * np.abs(expected).max()
