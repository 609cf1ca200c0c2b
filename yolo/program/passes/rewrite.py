"""What passes share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from yolo.program.ir import Graph, Node


def only_consumer(graph: Graph, consumers: Mapping[int, list[Node]], value: int) -> Node | None:
    """The one node that reads ``value``, or None where several do or the value comes out of the graph."""
    readers = consumers[value]
    return readers[0] if len(readers) == 1 and value not in graph.outputs else None


def with_nodes(graph: Graph, nodes: Iterable[Node | None], tensors: Mapping[str, np.ndarray] | None = None) -> Graph:
    """The graph with other nodes (None marks one that is gone) and, where given, other tensors."""
    kept = tuple(node for node in nodes if node is not None)
    return dataclasses.replace(graph, nodes=kept, tensors=graph.tensors if tensors is None else tensors)
