"""Scales of int8 values: real numbers as bytes, and the rules of a graph that holds some."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from yolo.program.ir import Conv, Graph, Node

LEAST, MOST = 1e-30, 1e30
"""Bounds of a step: beyond, it or its inverse is no float32."""
MOVEMENTS = ("concat", "split", "upsample", "pool")
"""Nodes that give bytes on as they are, so their values have one scale; of the pools only those of largest values."""
WHOLE_GROUPS = 16
"""Channels a group that a grouped convolution on bytes must have a multiple of, on any processor; or one: depthwise."""


@dataclasses.dataclass(frozen=True)
class Scale:
    """What a byte stands for: ``step * (byte - zero)``."""

    step: float
    zero: int

    @classmethod
    def of_range(cls, low: float, high: float) -> Scale:
        """The bytes spread over low..high, zero among them: padding and ReLU's zeros are then exact."""
        if not math.isfinite(low) or not math.isfinite(high):
            raise ValueError("the network's values are no numbers on these pictures")
        low, high = min(float(low), 0.0), max(float(high), 0.0)
        step = min(max(float(np.float32((high - low) / 255)), 2 * LEAST), MOST / 2)
        return cls(step, min(max(round(-low / step), 0), 255))

    def rounded(self, values: np.ndarray) -> np.ndarray:
        """The values as bytes can tell them, float32."""
        bytes_ = np.clip(np.rint(values / np.float32(self.step)) + self.zero, 0, 255)
        return ((bytes_ - self.zero) * np.float32(self.step)).astype(np.float32)


PIXELS = Scale(float(np.float32(1 / 255)), 0)
"""Of pictures: their bytes as they are."""


def is_int8(node: Node, graph: Graph) -> bool:
    """Whether a node computes on bytes."""
    return node.kind != "dequantise" and (node.kind == "quantise" or node.inputs[0] in graph.scales)


def groups_fit(node: Conv, graph: Graph) -> bool:
    """Whether int8 kernels can compute a convolution's groups."""
    given = graph.channels[node.inputs[0]] // node.groups, node.out_channels // node.groups
    return node.groups == 1 or given == (1, 1) or not any(count % WHOLE_GROUPS for count in given)


def check_scales(graph: Graph) -> None:
    """Raise ValueError, in one line, where the values with scales are not those that the nodes can have."""
    for value, scale in graph.scales.items():
        sound = type(scale.step) is float and type(scale.zero) is int and math.isfinite(scale.step)
        if not sound or not LEAST < scale.step < MOST or not 0 <= scale.zero <= 255:
            raise ValueError(f"value {value} has no scale that bytes can have")
    producers, consumers = graph.producers(), graph.consumers()
    for value in graph.outputs:
        made = producers.get(value)
        apart = made is not None and made.kind == "conv" and made.inputs[0] in graph.scales and consumers[value]
        if value in graph.scales or apart:
            raise ValueError(f"output {value} is not one that int8 can have")
    if graph.scales and graph.whole_pixels:
        raise ValueError("int8 takes no whole pixels as floats")
    for node in graph.nodes:
        if not _fits(node, graph):
            raise ValueError(f"{node.where} ({node.kind}): the scales of its values do not fit")


def _fits(node: Node, graph: Graph) -> bool:
    scales = graph.scales
    given = [value in scales for value in node.inputs]
    made = node.output in scales
    if node.kind in ("quantise", "dequantise"):
        return len(given) == 1 and given[0] == (node.kind == "dequantise") and made != given[0]
    if not any(given):
        return not made
    if node.kind == "conv":
        ends = made or node.output in graph.outputs
        return all(given) and not node.transposed and groups_fit(node, graph) and ends
    one = {scales.get(value) for value in (*node.inputs, node.output)}
    return node.kind in MOVEMENTS and len(one) == 1 and not getattr(node, "average", False)
