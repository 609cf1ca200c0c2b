"""Graphs, node by node."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from yolo.program.ir import Graph, Node, Part


class GraphBuilder:
    """Collects nodes; values are numbered as they come."""

    def __init__(self, channels: int) -> None:
        self._nodes: list[Node] = []
        self._channels: list[int] = [channels]

    def channels(self, value: int) -> int:
        """Channels of a value."""
        return self._channels[value]

    def add(self, kind: type[Node], *inputs: int, where: str, **attributes: object) -> int:
        """Append a node of this kind; give its output."""
        output = len(self._channels)
        node = kind(inputs, output, where, **attributes)
        self._nodes.append(node)
        self._channels.append(node.channels(tuple(self._channels[value] for value in inputs)))
        return output

    def build(
        self, outputs: tuple[int, ...], tensors: Mapping[str, np.ndarray], parts: Mapping[str, Part] | None = None
    ) -> Graph:
        """The graph that gives ``outputs``."""
        return Graph(tuple(self._nodes), outputs, tuple(self._channels), tensors, parts=parts or {})
