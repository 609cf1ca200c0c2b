"""The network: layers in the order of its spec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import oneflow as flow
from oneflow import nn

from yolo.errors import ModelError
from yolo.models.config import ModelConfig, load_model_config
from yolo.models.init import assign, initialise
from yolo.models.layers.basic import Style
from yolo.models.layers.registry import build_layer
from yolo.models.parser import parse_network
from yolo.models.spec import INPUT, NetworkSpec


class Network(nn.Module):
    """A YOLOv5 network as plain OneFlow modules: the definition of what compiled programs must equal.

    ``anchors``: float32 `[nl, na, 2]` in pixels; the buffer `model.<last>.anchors` holds them divided by
    the strides.
    """

    def __init__(self, config: ModelConfig, spec: NetworkSpec, *, fused: bool = False) -> None:
        super().__init__()
        self.config, self.spec, self.fused = config, spec, fused
        self.nc, self.strides = spec.nc, spec.strides
        style = Style(spec.activation, fused)
        layers = []
        for layer in spec.layers:
            try:
                layers.append(build_layer(layer, style))
            except (AssertionError, ValueError, ZeroDivisionError, RuntimeError) as error:
                raise ModelError(f"{layer.module}: {str(error)[:200]}", where=layer.where) from None
        self.model = nn.Sequential(*layers)
        self.anchors = np.zeros(0, np.float32)
        self.set_anchors(np.asarray(spec.anchors, np.float32).reshape(len(spec.strides), -1, 2))

    def forward(self, x: flow.Tensor) -> list[flow.Tensor]:
        """float32 `[B, C, H, W]` in 0..1 -> per level `[B, na, h, w, 5 + nc]` before the sigmoid."""
        kept: dict[int, flow.Tensor] = {}
        for spec, layer in zip(self.spec.layers, self.model):
            inputs = [x if s in (INPUT, spec.index - 1) else kept[s] for s in spec.sources]
            x = layer(inputs if spec.module in ("Concat", "Detect") else inputs[0])
            if spec.index in self.spec.kept:
                kept[spec.index] = x
        return x

    def set_anchors(self, anchors: np.ndarray) -> None:
        """Take new anchors, float32 `[nl, na, 2]` in pixels, in place."""
        levels = np.asarray(self.strides, np.float32).reshape(-1, 1, 1)
        assign(self.model[-1].anchors, np.asarray(anchors, np.float32) / levels)
        self.read_anchors()

    def read_anchors(self) -> None:
        """Bring ``anchors`` in line with the buffer after something else wrote it."""
        levels = np.asarray(self.strides, np.float32).reshape(-1, 1, 1)
        self.anchors = self.model[-1].anchors.numpy() * levels

    def load_state_dict(self, state_dict: dict[str, Any], strict: bool = True) -> Any:
        """`nn.Module.load_state_dict`, in place; ``anchors`` follow."""
        result = super().load_state_dict(state_dict, strict)
        self.read_anchors()
        return result


def build_network(
    config: ModelConfig | str | Path,
    *,
    nc: int | None = None,
    channels: int | None = None,
    fused: bool = False,
    rng: np.random.Generator | int = 0,
    init: bool = True,
) -> Network:
    """Build the network of a model YAML with fresh weights drawn from ``rng`` (a generator or a seed).

    ``nc`` and ``channels`` override the YAML's classes and input channels; ``fused`` builds convolutions
    with a bias and no batch norm; without ``init`` the weights are whatever lay in memory, for a state to
    be loaded next.
    Raises ModelError naming the file, the section and the row.
    """
    config = config if isinstance(config, ModelConfig) else load_model_config(config)
    spec = parse_network(config, nc=nc, channels=channels)
    network = Network(config, spec, fused=fused)
    if init:
        initialise(network, spec.strides, spec.nc, np.random.default_rng(rng))
    return network
