"""Which channel and pixel belong together in steps that gather or scatter numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from yolo.program import ir


@dataclasses.dataclass(frozen=True)
class IndexMap:
    """coarse[i, y, x] is fine[channel_i, y * stride + dy_i, x * stride + dx_i].

    index: channel, dy and dx of each coarse channel, one after the other. ``to_fine``: the fine one is the output.
    """

    index: tuple[int, ...]
    stride: int = 1
    to_fine: bool = False


def index_map(node: ir.Node, channels: Mapping[int, int] | Sequence[int]) -> IndexMap:
    """The index map that a node is; ``channels``: of each value. Raises TypeError for other kinds of nodes."""
    given = channels[node.inputs[0]]
    if isinstance(node, ir.Pad):
        left, _, top, _ = node.sides
        return IndexMap(_flat((c, -top, -left) for c in range(given)))
    if isinstance(node, ir.Split):
        return IndexMap(consecutive(node.start, node.count))
    if isinstance(node, ir.SpaceToDepth):
        return IndexMap(_cells(given, node.gain, node.column_major), node.gain)
    if isinstance(node, ir.DepthToSpace):
        return IndexMap(_cells(channels[node.output], node.gain, False), node.gain, to_fine=True)
    raise TypeError(f"{node.where}: {node.kind} is no index map")


def consecutive(start: int, count: int) -> tuple[int, ...]:
    """The index of ``count`` channels from ``start``."""
    return _flat((start + channel, 0, 0) for channel in range(count))


def _cells(channels: int, gain: int, column_major: bool) -> tuple[int, ...]:
    places = [(dy, dx) for dy in range(gain) for dx in range(gain)]
    if column_major:
        places = [(dy, dx) for dx in range(gain) for dy in range(gain)]
    return _flat((c, dy, dx) for dy, dx in places for c in range(channels))


def _flat(rows: Iterable[tuple[int, int, int]]) -> tuple[int, ...]:
    return tuple(number for row in rows for number in row)
