"""A weights file as a graph of the intermediate representation; needs neither OneFlow nor the compiled libraries."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from yolo.models.config import parse_model_config
from yolo.models.parser import parse_network
from yolo.models.spec import NetworkSpec
from yolo.models.weights.load import load_weights
from yolo.program import ir
from yolo.program.lower import lower


@dataclasses.dataclass(frozen=True)
class PeerNetwork:
    """The network of a weights file: its layers and its graph, as lowered."""

    spec: NetworkSpec
    graph: ir.Graph

    @property
    def anchors(self) -> np.ndarray:
        """float32 ``[levels, na, 2]`` in cells, as the weights have them."""
        return self.graph.tensors[f"model.{len(self.spec.layers) - 1}.anchors"].astype(np.float32)


def read_graph(weights: Path) -> PeerNetwork:
    """Read a .pt or .safetensors file; raises WeightsError."""
    checkpoint = load_weights(weights)
    spec = parse_network(parse_model_config(checkpoint.config, name=str(weights)))
    return PeerNetwork(spec, lower(spec, checkpoint.model))
