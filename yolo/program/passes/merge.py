"""Convolutions of one input that differ only in their weights, as one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from yolo.program.ir import Concat, Conv, Graph, Node, Split

WHOLE_BLOCKS: Final = 16
"""Channels that a part of a merged convolution must have a multiple of, on any processor."""


def merge_siblings(graph: Graph) -> Graph:
    """Merge 1x1 convolutions that read the same value and are otherwise alike; the parts become Splits.

    One wide convolution reads its input once and keeps the arithmetic units busier than two narrow ones.
    """
    last = _last_of_concats(graph)
    channels, tensors = list(graph.channels), dict(graph.tensors)
    replacement: dict[int, tuple[Node, ...]] = {}
    for family in siblings(graph, functools.partial(_mergeable, graph)):
        if len(family) > 1:
            # What a concatenation ends with comes first: the rest of the merged value then lies right behind it.
            ordered = sorted(family, key=lambda conv: conv.output not in last)
            merged, splits = _merge(ordered, len(channels), tensors)
            channels.append(merged.out_channels)
            first = min(family, key=graph.nodes.index)
            replacement |= {id(conv): () for conv in family}
            replacement[id(first)] = (merged, *splits)
    nodes = tuple(new for node in graph.nodes for new in replacement.get(id(node), (node,)))
    return dataclasses.replace(graph, nodes=nodes, channels=tuple(channels), tensors=tensors)


def siblings(graph: Graph, mergeable: Callable[[Conv], bool]) -> list[list[Conv]]:
    """Those of the convolutions that may be merged which differ in nothing but their weights, together."""
    families: dict[Conv, list[Conv]] = {}
    for node in graph.nodes:
        if isinstance(node, Conv) and mergeable(node):
            alike = dataclasses.replace(node, output=0, where="", weights="", out_channels=0)
            families.setdefault(alike, []).append(node)
    return list(families.values())


def _mergeable(graph: Graph, node: Conv) -> bool:
    alone = node.groups == 1 and node.residual is None and not node.transposed and node.output not in graph.outputs
    return alone and node.kernel == (1, 1) and node.padding == (0, 0) and node.out_channels % WHOLE_BLOCKS == 0


def _last_of_concats(graph: Graph) -> set[int]:
    return {node.inputs[-1] for node in graph.nodes if isinstance(node, Concat)}


def _merge(family: Sequence[Conv], output: int, tensors: dict[str, np.ndarray]) -> tuple[Conv, list[Split]]:
    name = "|".join(conv.weights for conv in family)
    for part in ("weight", "bias") if family[0].bias else ("weight",):
        tensors[f"{name}.{part}"] = np.concatenate([tensors[f"{conv.weights}.{part}"] for conv in family])
    total = sum(conv.out_channels for conv in family)
    where = " | ".join(conv.where for conv in family)
    merged = dataclasses.replace(family[0], output=output, where=where, weights=name, out_channels=total)
    splits, start = [], 0
    for conv in family:
        splits.append(Split((output,), conv.output, conv.where, start, conv.out_channels))
        start += conv.out_channels
    return merged, splits
