"""The tensors that a network has, known from its layers alone: what a state must hold to be compiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from yolo.models.spec import NetworkSpec
from yolo.models.weights.shapes import Shape, require_state
from yolo.program import ir
from yolo.program.ir import Graph
from yolo.program.lower import lower
from yolo.program.verify import tensor_shapes

_NORM = ("weight", "bias", "running_mean", "running_var")


def checked_state(spec: NetworkSpec, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``state`` as float32, when it is one of the network of ``spec``; fused weights have biases for batch norms.

    Raises WeightsError as ``load_state`` does.
    """
    biases = {name: values for name, values in state.items() if name.endswith(".conv.bias")}  # what tells fused ones
    require_state(state_shapes(spec, lower(spec, biases)), state)
    return {name: values.astype(np.float32, copy=False) for name, values in state.items()}


def state_shapes(spec: NetworkSpec, graph: Graph) -> dict[str, Shape]:
    """Names and shapes of the state of a network, ``graph`` being what it is lowered to, before any pass."""
    found: dict[str, Shape] = {f"model.{len(spec.layers) - 1}.anchors": (len(spec.strides), spec.anchors_per_level, 2)}
    stacked: dict[str, Shape] = {}
    for name, shape in _shapes(graph):
        part = graph.parts.get(name)
        if part is None:
            found[name] = shape
        else:  # the weights of linear layers, as those of 1x1 convolutions; each part has the same rows
            stacked[part.tensor] = ((part.number + 1) * shape[0], *shape[1:2])
    return found | stacked


def _shapes(graph: Graph) -> Iterator[tuple[str, Shape]]:
    for node in graph.nodes:
        if isinstance(node, ir.BatchNorm):
            yield from ((f"{node.weights}.{part}", (graph.channels[node.output],)) for part in _NORM)
            yield f"{node.weights}.num_batches_tracked", ()
        else:
            yield from tensor_shapes(node, graph.channels)
