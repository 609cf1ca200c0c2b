"""The typed list of layers between a model YAML and a network; pure Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from yolo.models.activation import Activation

INPUT: Final = -1
"""The source index that means the network's own input."""
TRACE_SIZE: Final = 256
"""Side in pixels of the square input by which strides are worked out."""


@dataclass(frozen=True)
class LayerSpec:
    """One layer with every argument resolved."""

    index: int
    sources: tuple[int, ...]
    """Absolute layer indices, or INPUT."""
    module: str
    args: Mapping[str, Any]
    in_channels: tuple[int, ...]
    """One per source."""
    out_channels: int
    repeats: int
    """Copies in a row; 1 where the layer takes its repeats itself (`n` in args)."""
    size: int
    """Output side at a square input of TRACE_SIZE pixels (0 for Detect)."""
    where: str
    """File, section and row, for messages."""

    @property
    def stride(self) -> float:
        """Input pixels per output cell."""
        return TRACE_SIZE / self.size if self.size else 0.0

    @property
    def least_weights(self) -> int:
        """A floor under the number of weights, without building the layer (exact for plain convolutions)."""
        a, given, out = self.args, self.in_channels[0], self.out_channels
        if self.module == "Detect":
            return sum(self.in_channels) * out
        if self.module in ("Conv", "Focus", "nn.Conv2d", "nn.ConvTranspose2d"):
            sides = a["k"] if isinstance(a["k"], tuple) else (a["k"], a["k"])
            return self.repeats * (given * out * sides[0] * sides[1] // a["g"])
        if self.module == "GhostConv":
            return given * (out // 2) // a["g"]
        if "e" in a:  # a 1×1 convolution to the hidden width, and another of it for each inner block
            hidden = int(out * a["e"])
            return self.repeats * (given * hidden + a.get("n", 0) * hidden * hidden // 4)
        return given * (given // 2) if self.module in ("SPP", "SPPF") else 0


@dataclass(frozen=True)
class NetworkSpec:
    """A whole network: layers in order, the last one Detect."""

    layers: tuple[LayerSpec, ...]
    nc: int
    channels: int
    """Of the input."""
    strides: tuple[int, ...]
    anchors: tuple[tuple[float, ...], ...]
    """Per level `w, h, …` in pixels, in the levels' order."""
    activation: Activation
    kept: frozenset[int] = field(default_factory=frozenset)
    """Layers whose output a later layer other than the next one reads."""

    @property
    def anchors_per_level(self) -> int:
        return len(self.anchors[0]) // 2

    def predictions(self, height: int, width: int) -> int:
        """Rows of the decoded output for one input of this size in pixels (multiples of the stride)."""
        return sum(self.anchors_per_level * (height // s) * (width // s) for s in self.strides)
